"""Logins of analysts and reviewers, and what is done with their rights alone. The grants are
migrations/roles.sql."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import psycopg.sql
import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import ConfigurationError
from worker.store import database

ANALYST = "sentiment_analyst"
REVIEWER = "sentiment_reviewer"
ANALYST_TIMEOUT = "30s"
ASKER = "sentiment_asker"

_RIGHTS = """
SELECT has_schema_privilege('sentiment', 'USAGE') AS may_do_more,
       to_regrole(:role) IS NOT NULL
           AND pg_has_role(to_regrole(:role), CASE
               WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET'
               ELSE 'MEMBER' END) AS may_become_one,
       has_function_privilege('analytics.review_undo(bigint, integer, text)', 'EXECUTE')
           AS may_judge
"""


def make_analyst(engine: Engine, login: str) -> bool:
    """A login that reads schema analytics, and does nothing else: see `_make`."""
    return _make(engine, login, ANALYST, "SET default_transaction_read_only = on")


def make_reviewer(engine: Engine, login: str) -> bool:
    """A login that reads schema analytics, judges records that were drawn for review, and does
    nothing else: see `_make`."""
    return _make(engine, login, REVIEWER, "SET default_transaction_read_only = off")


def _make(engine: Engine, login: str, role: str, setting: str) -> bool:
    """A login with a role's rights: made where there is none, without a password. Says whether it
    was made.

    A setting of a role holds for those who log in as it, and not for its members: so it is the
    login's own. Raises ConfigurationError.
    """
    name = psycopg.sql.Identifier(login)
    steps = (
        f"GRANT {role} TO {{}}",
        f"ALTER ROLE {{}} SET statement_timeout = '{ANALYST_TIMEOUT}'",
        f"ALTER ROLE {{}} {setting}",
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
                f"{login!r} may do more than read: as {role} it could not work any more.",
                hint="Give analysts and reviewers a login of their own.",
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
                f"This login may not give {login!r} the role {role}: {error.diag.message_primary}.",
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
    rights = _rights(engine, ANALYST)
    if not rights["may_do_more"]:
        return None
    if rights["may_become_one"]:
        return ANALYST
    raise ConfigurationError(
        f"This login may do more than read, and may not become {ANALYST}.",
        hint="Name an analyst's login in DATABASE_URL (`db roles --analyst LOGIN` makes one), or as"
        f" an administrator: GRANT {ANALYST} TO it.",
    )


def to_review_as(engine: Engine) -> str | None:
    """The role under which to judge records that were drawn; None where the login can do no more
    than that itself. Raises ConfigurationError where neither is so."""
    rights = _rights(engine, REVIEWER)
    if rights["may_judge"] and not rights["may_do_more"]:
        return None
    if rights["may_become_one"]:
        return REVIEWER
    raise ConfigurationError(
        f"This login may not judge records, and may not become {REVIEWER}.",
        hint="Name a reviewer's login in DATABASE_URL (`db roles --reviewer LOGIN` makes one), or"
        f" as an administrator: GRANT {REVIEWER} TO it.",
    )


def _rights(engine: Engine, role: str) -> Mapping[str, bool]:
    return database.rows(engine, sa.text(_RIGHTS), {"role": role})[0]
