"""Analysts' logins, and asking with their rights alone. The grants are migrations/roles.sql."""

from __future__ import annotations

import contextlib

import psycopg.sql
import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import ConfigurationError
from worker.store import database

ANALYST = "sentiment_analyst"
ANALYST_TIMEOUT = "30s"
ASKER = "sentiment_asker"

_RIGHTS = f"""
SELECT has_schema_privilege('sentiment', 'USAGE') AS may_do_more,
       to_regrole('{ANALYST}') IS NOT NULL
           AND pg_has_role(to_regrole('{ANALYST}'), CASE
               WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET'
               ELSE 'MEMBER' END) AS may_become_one
"""


def make_analyst(engine: Engine, login: str) -> bool:
    """A login that reads schema analytics: made where there is none, without a password. Says
    whether it was made.

    A setting of a role holds for those who log in as it, and not for its members: so it is the
    login's own. Raises ConfigurationError.
    """
    name = psycopg.sql.Identifier(login)
    steps = (
        "GRANT sentiment_analyst TO {}",
        f"ALTER ROLE {{}} SET statement_timeout = '{ANALYST_TIMEOUT}'",
        "ALTER ROLE {} SET default_transaction_read_only = on",
    )
    with database.cursor(engine) as cur:
        cur.execute(
            "SELECT has_schema_privilege(rolname, 'sentiment', 'USAGE') FROM pg_roles"
            " WHERE rolname = %s AND rolcanlogin",
            (login,),
        )
        found = cur.fetchone()
        if found is not None and found[0]:
            raise ConfigurationError(
                f"{login!r} may do more than read: as an analyst it could not work any more.",
                hint="Give analysts a login of their own.",
            )
        try:
            for step in steps if found else ("CREATE ROLE {} LOGIN", *steps):
                cur.execute(psycopg.sql.SQL(step).format(name))
        except psycopg.errors.DuplicateObject as error:
            raise ConfigurationError(
                f"{login!r} is a role that may not log in.",
                hint=f'Name another, or as an administrator: ALTER ROLE "{login}" LOGIN;',
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"This login may not make {login!r} an analyst: {error.diag.message_primary}.",
                hint="Run it with an administrator's DATABASE_URL.",
            ) from error
    return found is None


def asker(engine: Engine) -> str:
    """The login of questions to the embedded database, whose own one is a superuser; made where
    there is none."""
    with database.transaction(engine) as connection:
        known = connection.scalar(
            sa.text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": ASKER}
        )
    if not known:
        with contextlib.suppress(ConfigurationError):  # another question made it just now
            make_analyst(engine, ASKER)
    return ASKER


def shown_url(engine: Engine, login: str) -> str:
    """How a login reaches this database, without a password."""
    url = engine.url.set(drivername="postgresql", username=login, password=None)
    return url.render_as_string(hide_password=False)


def to_ask_as(engine: Engine) -> str | None:
    """The role under which to ask questions, so that they read schema analytics alone; None where
    the login can do no more than that itself. Raises ConfigurationError where neither is so."""
    with database.transaction(engine) as connection:
        may_do_more, may_become_one = connection.execute(sa.text(_RIGHTS)).one()
    if not may_do_more:
        return None
    if may_become_one:
        return ANALYST
    raise ConfigurationError(
        f"This login may do more than read, and may not become {ANALYST}.",
        hint="Name an analyst's login in DATABASE_URL (`db roles --analyst LOGIN` makes one), or as"
        f" an administrator: GRANT {ANALYST} TO it.",
    )
