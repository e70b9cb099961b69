"""Engines for the databases of sources: patient with rows, and not with a server that is gone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, event, exc

from worker import urls
from worker.errors import ConfigurationError
from worker.sources.tables import keys


@lru_cache(maxsize=64)
def engine(url: str, timeout_s: float) -> Engine:
    """One for a database, whatever the number of runs: SQLAlchemy's reflection remembers every
    dialect that ever asked, and a compiled statement its table, which each run reflects anew."""
    parsed = urls.parse(url, "The source's url")
    try:
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        arguments: dict[str, Any] = {
            name: value
            for name, value in _patience(parsed.drivername, timeout_s).items()
            if name not in parsed.query
        }
        engine = sa.create_engine(
            parsed, poolclass=sa.NullPool, query_cache_size=0, connect_args=arguments
        )
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", keys.lenient_texts)
        if engine.dialect.name in ("mysql", "mariadb"):
            event.listen(engine, "connect", keys.in_utc)
        if parsed.drivername == "postgresql+psycopg":
            event.listen(engine, "connect", keys.lenient)
            event.listen(engine, "begin", partial(_limit, timeout_s))
        return engine
    except (exc.NoSuchModuleError, ImportError) as error:
        raise ConfigurationError(
            f"The source's url needs a driver that is not installed: {error}.",
            hint="Install the driver's package beside sentiment-worker.",
        ) from error


def require_file(engine: Engine) -> None:
    """Raises ConfigurationError for a SQLite file that is not there: SQLite would make it."""
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and not file.startswith((":memory:", "file:")) and not Path(file).exists():
        raise ConfigurationError(f"There is no file {file}: SQLite would make an empty database.")


def _limit(timeout_s: float, connection: sa.Connection) -> None:
    """Of each statement in a transaction, waiting for locks included; also behind a pooler, which
    would keep a session's setting for others. psycopg reads times in the ISO form alone."""
    connection.exec_driver_sql(
        f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}; SET LOCAL datestyle = ISO;"
        " SET LOCAL intervalstyle = postgres"
    )


def _patience(driver: str, timeout_s: float) -> dict[str, Any]:
    """For drivers whose names for it we know: a server that is gone, or a network that drops what
    it is sent, is noticed within a minute."""
    if driver == "postgresql+psycopg":
        return {
            "client_encoding": "utf8",
            "connect_timeout": 10,
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }
    if driver in ("mysql+pymysql", "mariadb+pymysql"):
        return {"connect_timeout": 10, "read_timeout": math.ceil(timeout_s), "write_timeout": 60}
    return {}


@dataclass(frozen=True, slots=True)
class SqlTarget:
    """What to read. Exactly one of `table` and `query`."""

    url: str
    table: str | None = None
    query: str | None = None
    cursor: str | None = None
    tie_breaker: str | None = None
    overlap: timedelta | float | None = None
    timeout_s: float = 300.0
    """Of one statement."""
    key: tuple[str, ...] = ()
    """The columns of an id that has several parts."""
    deleted: str | None = None
    """The column that says that a row is deleted."""
    page_rows: int = 4_000
