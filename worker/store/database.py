"""One engine and one pool a process; driver errors become ours here, with the cause kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
import stamina
from sqlalchemy import Engine, event, exc
from sqlalchemy.engine import URL, Connection

from worker import urls
from worker.errors import ConfigurationError, DatabaseUnavailable, SchemaOutdated, TooSlow
from worker.store import sessions

T = TypeVar("T")

_HARD_REFUSALS = ("28P01", "28000", "3D000", "42501")
"""Wrong password, no such role, no such database, no permission: waiting will not help.
https://www.postgresql.org/docs/current/errcodes-appendix.html"""


TEMPORARY_ADVICE = (
    "Each run sorts what it writes in a temporary table. As an administrator:"
    " GRANT TEMPORARY ON DATABASE ... TO sentiment_worker (`db roles` does it)."
)

SHARED = "a pooler shares PostgreSQL's sessions (like PgBouncer in transaction mode)"
SHARED_ADVICE = (
    "It works, but a run's source is held by its lease alone: after a kill it is free when"
    " SENTIMENT_LEASE is over, not at once. Migrate with the server's own address."
)


def normalise_url(url: str) -> URL:
    """The URL with psycopg 3 as its driver; `postgres://` and `postgresql://` are accepted."""
    parsed = urls.parse(url, "DATABASE_URL")
    if parsed.get_backend_name() in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        f"DATABASE_URL names {parsed.get_backend_name()!r}; scores are kept in PostgreSQL only.",
        hint=f"Write {urls.EXAMPLE}.",
    )


def make_engine(
    url: str, *, application: str, pool_size: int = 6, pool_timeout_s: float = 30.0
) -> Engine:
    """An engine whose connections notice a dead server within a minute and whose statements
    cannot hang for ever on a lock. A connection is waited for `pool_timeout_s` seconds."""
    engine = sa.create_engine(
        normalise_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_s,
        pool_recycle=1800,
        connect_args=sessions.arguments(application),
    )
    sessions.prepare(engine)
    return engine


def unpooled(engine: Engine, *, application: str) -> Engine:
    """The same database with a connection of its own for each use: for what is held long."""
    own = sa.create_engine(
        engine.url, poolclass=sa.NullPool, connect_args=sessions.arguments(application)
    )
    sessions.prepare(own)
    return own


def read_only(engine: Engine, *, timeout_s: float, role: str | None = None) -> Engine:
    """The same engine for questions alone: nothing is written; otherwise as `limited`."""
    reading = engine.execution_options(postgresql_readonly=True)
    return limited(reading, timeout_s=timeout_s, role=role)


def limited(engine: Engine, *, timeout_s: float, role: str | None = None) -> Engine:
    """The same engine for what takes no longer than that, and is done as `role`, where one is
    named."""
    own = engine.execution_options(limit_s=timeout_s)

    @event.listens_for(own, "begin")
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}")
        if role is not None:
            connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
        # Who reads in parts may take their time over each.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '1h'")

    return own


@contextmanager
def translated(limit_s: float | None = None) -> Iterator[None]:
    """Turn what psycopg and SQLAlchemy raise into the error tree. `limit_s` is what a statement was
    allowed to take."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _translate(error.orig if error.orig is not None else error, limit_s) from error
    except exc.TimeoutError as error:
        raise DatabaseUnavailable("No database connection came free in time.") from error
    except psycopg.Error as error:
        raise _translate(error, limit_s) from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction: commit at the end, rollback on any exception."""
    limit_s = engine.get_execution_options().get("limit_s")
    with translated(limit_s), engine.begin() as connection:
        yield connection


def rows(
    engine: Engine, statement: sa.Executable, arguments: Mapping[str, Any] | None = None
) -> list[Mapping[str, Any]]:
    """What a statement gives, in a transaction of its own."""
    with transaction(engine) as connection:
        return [dict(row) for row in connection.execute(statement, arguments).mappings()]


@contextmanager
def cursor(engine: Engine) -> Iterator[psycopg.Cursor[tuple[object, ...]]]:
    """One transaction on a bare psycopg cursor: for COPY and for SQL in plain text."""
    with transaction(engine) as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with driver.cursor() as bare:
            try:
                yield bare
            except (psycopg.OperationalError, psycopg.InternalError):
                # SQLAlchemy did not see the error: tell it that the connection may be dead.
                connection.invalidate()
                raise


def retrying(call: Callable[[], T], *, patience_s: float) -> T:
    """Call again while the database is away, up to `patience_s` seconds (full jitter)."""
    for attempt in stamina.retry_context(
        on=DatabaseUnavailable, attempts=None, timeout=patience_s, wait_initial=0.1, wait_max=5.0
    ):
        with attempt:
            return call()
    raise AssertionError("stamina either returns or raises")


def _translate(error: BaseException, limit_s: float | None) -> Exception:
    state = getattr(error, "sqlstate", None)
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, psycopg.OperationalError) and state is None:
        if "password authentication failed" in str(error) or "does not exist" in str(error):
            return _refused(text)
        return DatabaseUnavailable(
            f"The database does not answer: {text}",
            hint="Check that PostgreSQL runs and that DATABASE_URL names it.",
        )
    if state is None and isinstance(error, psycopg.ProgrammingError):
        return _refused(text)  # an option in the URL that PostgreSQL does not know
    if state in _HARD_REFUSALS:
        return _refused(text)
    if state in ("42P01", "3F000", "42703", "42883"):
        return SchemaOutdated(
            f"The database is not migrated to this version: {text}",
            hint="Run: sentiment-worker db upgrade",
        )
    if state == "57014":
        return _ended(text, limit_s)
    # A pooler that loses its server answers out of turn: "received 2 results from command 'BEGIN'".
    lost = isinstance(error, psycopg.InternalError) and state is None
    if lost or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseUnavailable(f"The database gave up: {text}")
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return DatabaseUnavailable(
            "The database is read-only (a standby, failing over, or this login only reads)."
        )
    return error if isinstance(error, Exception) else RuntimeError(text)


def _ended(text: str, limit_s: float | None) -> TooSlow:
    """A statement was ended, by our limit or by somebody else's; PostgreSQL names the kind."""
    if limit_s is not None and "statement timeout" in text:
        return TooSlow(
            f"The question took longer than its limit of {limit_s:g} s.",
            hint="Ask for less, or about a shorter time.",
        )
    return TooSlow(
        f"PostgreSQL ended the statement: {text}",
        hint="Somebody cancelled it, or the role or the database has a limit: see"
        " `SHOW statement_timeout` in its session.",
    )


def _refused(text: str) -> ConfigurationError:
    if "temporary tables" in text:
        return ConfigurationError(f"The database refused: {text}", hint=TEMPORARY_ADVICE)
    return ConfigurationError(
        f"The database refused: {text}",
        hint="Check user, password, database and rights in DATABASE_URL; "
        "`sentiment-worker db roles` prints the grants.",
    )


def shares_sessions(engine: Engine) -> bool:
    """Is there a pooler between, whose sessions belong to nobody?"""
    with translated():
        return sessions.shares_sessions(engine)


def require_own_session(engine: Engine, what: str) -> None:
    """Raises ConfigurationError behind a pooler that shares its sessions: locks and settings that
    must last from one transaction to the next would not."""
    if shares_sessions(engine):
        raise ConfigurationError(
            f"{what} needs a session of its own, and {SHARED}.",
            hint="Name PostgreSQL's own address in DATABASE_URL for this command.",
        )


def may_make_temporary_tables(engine: Engine) -> bool:
    with transaction(engine) as connection:
        may = "SELECT has_database_privilege(current_database(), 'TEMP')"
        return bool(connection.scalar(sa.text(may)))
