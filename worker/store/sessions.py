"""How sessions are opened: straight to PostgreSQL, or through a pooler.

Behind PgBouncer in transaction mode, or RDS Proxy, each transaction may run in another session
than the one before. A session's settings, its prepared statements and its locks then belong to
nobody, so each transaction brings its own settings, and nothing relies on the rest.
https://www.pgbouncer.org/features.html
"""

from __future__ import annotations

from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection

SETTINGS = {
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "120s",
    # The session that holds a run's lock is idle for as long as the run.
    "idle_session_timeout": "0",
    "statement_timeout": "0",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
}
"""Whatever the server, the database or the role say: times are read in these forms, and how long
something may take is decided here."""

_ARGUMENTS: dict[str, Any] = {
    "client_encoding": "utf8",  # else an SQL_ASCII database gives bytes, and that says nothing
    "connect_timeout": 10,
    # A server that is gone while something is under way to it: else TCP tries for 15 minutes.
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}

_IN_THIS_TRANSACTION = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in SETTINGS.items()
)
PROBES = 5
_PID = "SELECT pg_backend_pid()"
_NO_LIMIT = "SET transaction_timeout = 0"
"""Since PostgreSQL 17; older servers refuse it as an option."""


def arguments(application: str) -> dict[str, Any]:
    """For `create_engine`; `prepare` does the rest."""
    return _ARGUMENTS | {"application_name": application}


def prepare(engine: Engine) -> None:
    """Give the engine's connections our settings, whatever is between them and PostgreSQL."""
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "begin", _bring_settings)


def shares_sessions(engine: Engine) -> bool:
    """Do the transactions of a connection run in sessions that others use too? A transaction that
    takes the session, or makes the next one run elsewhere, shows it."""
    with engine.connect() as plain, engine.connect() as other:
        one = plain.execution_options(isolation_level="AUTOCOMMIT")
        # Several times: others use the pool meanwhile.
        return _is_pooled(one) and any(_moves(one, other) for _ in range(PROBES))


def _moves(one: Connection, other: Connection) -> bool:
    before = one.scalar(sa.text(_PID))
    with other.begin():
        taken = other.scalar(sa.text(_PID)) == before
        return bool(taken or one.scalar(sa.text(_PID)) != before)


def _connect(dialect: sa.Dialect, record: Any, cargs: Any, cparams: dict[str, Any]) -> Any:
    connection = _connected(dialect, cargs, cparams)
    connection.autocommit = True
    found: Any = connection.execute(_PID).fetchone()
    # A pooler gives its clients process ids of its own.
    pooled = found[0] != connection.info.backend_pid
    if pooled:
        connection.prepare_threshold = None
    elif connection.info.server_version >= 170_000:
        connection.execute(_NO_LIMIT)
    connection.autocommit = False
    record.info["pooled"] = pooled
    return connection


def _connected(dialect: sa.Dialect, cargs: Any, cparams: dict[str, Any]) -> psycopg.Connection[Any]:
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    try:
        return dialect.connect(*cargs, **{"options": options} | cparams)  # type: ignore[return-value]
    except psycopg.OperationalError as error:
        # A connection that failed has no code. "unsupported startup parameter: options".
        if "startup parameter" not in str(error):
            raise
    return dialect.connect(*cargs, **cparams)  # type: ignore[return-value]


def _bring_settings(connection: sa.Connection) -> None:
    if _is_pooled(connection):
        connection.exec_driver_sql(_IN_THIS_TRANSACTION)


def _is_pooled(connection: sa.Connection) -> bool:
    return bool(connection.info.get("pooled"))
