"""Runs a user's own SQL: one read-only statement, confined to the login's rights.

It runs as `DECLARE ... CURSOR FOR` it, in the extended protocol, which takes one statement and no
other kind, in a read-only transaction. A statement can undo SET ROLE, so logins that could become
a superuser are refused: see `require_no_superuser`.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import Engine, exc
from sqlalchemy.engine import Connection

from worker.errors import ConfigurationError, Misasked
from worker.store import database

_DECLARE = "DECLARE question NO SCROLL CURSOR FOR "
_FETCH = "FETCH ALL FROM question"
_SHOWS = re.compile(r"(\s|--[^\n]*\n|/\*.*?\*/)*(explain|show)\b", re.IGNORECASE | re.DOTALL)
"""Statements that read, and that no cursor can be of."""


_ONE = "Write one statement that reads: SELECT, WITH, VALUES, TABLE, EXPLAIN or SHOW."

_MAY_LEAVE = """
SELECT count(*) > 0 FROM pg_roles
WHERE (rolsuper OR rolname IN
       ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'))
  AND pg_has_role(session_user, oid, 'MEMBER')
"""


def ask(
    engine: Engine, question: str, arguments: Mapping[str, Any] | None = None
) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """The names of the columns, which may repeat, and the rows of a statement; `:name` stands for
    an argument, where there are any.

    Raises Misasked with PostgreSQL's own words where it cannot be answered, ConfigurationError for
    a superuser.
    """
    asked = question.strip().rstrip(";")
    shows = _SHOWS.match(asked) is not None
    text = (asked if shows else _DECLARE + asked) if asked else ""
    with database.transaction(engine) as connection:
        require_no_superuser(connection)
        try:
            with _driver(connection).cursor() as cursor:
                # Prepared: a simple query could hold several statements.
                cursor.execute(*_compiled(text, arguments, engine), prepare=True)
                if not shows:
                    cursor.execute(_FETCH)
                return [column.name for column in cursor.description or ()], cursor.fetchall()
        except psycopg.OperationalError:
            raise  # it took too long, or the server went away
        except (psycopg.Error, exc.SQLAlchemyError, UnicodeError) as error:
            said, hint = _postgresql_says(error, 0 if shows else len(_DECLARE))
            raise Misasked(f"PostgreSQL cannot answer that: {said}", hint=hint) from error


def require_no_superuser(connection: Connection) -> None:
    """Raises ConfigurationError where the login is a superuser or may become one, or may reach the
    server's files and programs: a statement could use those rights."""
    if connection.scalar(sa.text(_MAY_LEAVE)):
        raise ConfigurationError(
            "The database's login is a superuser, or may become one; SQL of your own would run with"
            " its rights.",
            hint="Ask with an analyst's login in DATABASE_URL: sentiment-worker db roles --analyst"
            " LOGIN makes one.",
        )


def _compiled(
    text: str, arguments: Mapping[str, Any] | None, engine: Engine
) -> tuple[Any, dict[str, Any]]:
    """For psycopg: `%(name)s` for each argument, and what else looks like one as it is."""
    escaped = text.replace(":", r"\:") if arguments is None else text
    compiled = sa.text(escaped).compile(dialect=engine.dialect)
    return str(compiled).encode(), dict(compiled.construct_params(dict(arguments or {})))


def _driver(connection: Connection) -> psycopg.Connection[tuple[Any, ...]]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _postgresql_says(error: Exception, before: int) -> tuple[str, str]:
    """Its own message and hint: "column "x" does not exist", "Perhaps you meant ..."; places are
    those of what was asked, `before` characters of ours stand before it."""
    said = getattr(error, "diag", None)
    if said is None or said.message_primary is None:
        return str(error).strip().splitlines()[0], ""
    place = int(said.statement_position or 0) - before
    position = f" (at character {place})" if place > 0 else ""
    hint = said.message_hint or (_ONE if isinstance(error, psycopg.errors.SyntaxError) else "")
    return f"{said.message_primary}{position}.", hint
