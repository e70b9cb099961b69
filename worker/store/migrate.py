"""Migrations, for people who have the package and not the checkout.

Every command asks where the schema stands, few change it: alembic is imported where it does that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.engine import Connection

import worker
from worker.errors import ConfigurationError, DatabaseUnavailable, SchemaOutdated
from worker.log import get_logger
from worker.store import database
from worker.store.analytics import rollup

if TYPE_CHECKING:
    from alembic.config import Config

log = get_logger(__name__)

LOCK_WAIT = "1s"
LOCK_ATTEMPTS = 30

_IS_ANALYST = """
SELECT CASE WHEN to_regnamespace('sentiment') IS NOT NULL
            THEN NOT has_schema_privilege('sentiment', 'USAGE') END
"""

ROLES = ("sentiment_owner", "sentiment_worker", "sentiment_analyst", "sentiment_reviewer")


@dataclass(frozen=True, slots=True)
class SchemaState:
    current: str | None
    head: str
    oldest_worker: str | None = None
    """The oldest migration whose workers may go on working there, where the database says so."""

    @property
    def is_current(self) -> bool:
        return self.current == self.head

    @property
    def is_newer(self) -> bool:
        """Is the database ahead of this version? Revisions are numbered, and in a row."""
        return self.current is not None and self.current > self.head

    @property
    def is_tolerant(self) -> bool:
        """Is it ahead, and may a worker of this version go on working on it?"""
        return self.is_newer and self.oldest_worker is not None and self.oldest_worker <= self.head


def scripts() -> Path:
    """The migrations: inside the package when installed, beside it in a checkout."""
    package = Path(worker.__file__).parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def state(engine: Engine) -> SchemaState:
    """Where the database stands, and where this version wants it."""
    # Revisions are numbered, and in a row: a test holds this against alembic's own idea of it.
    head = max(path.name.split("_")[0] for path in (scripts() / "versions").glob("[0-9]*.py"))
    with database.transaction(engine) as connection:
        if connection.scalar(sa.text(_IS_ANALYST)):
            # Before 0014 the view has one column.
            found = connection.execute(sa.text("SELECT v.* FROM analytics.schema_version v")).one()
            return SchemaState(found[0], head, *found[1:])
        if not _has(connection, "alembic_version"):
            return SchemaState(None, head)
        current = connection.scalar(sa.text("SELECT version_num FROM sentiment.alembic_version"))
        if not _has(connection, "tolerated"):
            return SchemaState(current, head)
        oldest = connection.scalar(sa.text("SELECT oldest_worker FROM sentiment.tolerated"))
        return SchemaState(current, head, oldest)


def _has(connection: Connection, table: str) -> bool:
    found = connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": f"sentiment.{table}"})
    return found is not None


def wait_until_current(engine: Engine, *, patience_s: float) -> None:
    """`require_current`, once the database answers."""
    database.retrying(partial(require_current, engine), patience_s=patience_s)


def require_current(engine: Engine) -> None:
    """Raise SchemaOutdated unless the database is where this version wants it, or ahead and
    tolerant of it: while versions are exchanged, workers of the one before go on."""
    found = state(engine)
    if found.is_tolerant:
        log.warning("schema.newer", database=found.current, this_version=found.head)
        return
    if found.is_newer:
        raise _newer(found)
    if not found.is_current:
        raise SchemaOutdated(
            f"The database is at migration {found.current or 'none'}, "
            f"this version needs {found.head}.",
            hint="Run: sentiment-worker db upgrade",
        )


def _newer(found: SchemaState) -> SchemaOutdated:
    oldest = f" It tolerates workers from {found.oldest_worker} on." if found.oldest_worker else ""
    return SchemaOutdated(
        f"The database is at migration {found.current}, and this version knows those up to"
        f" {found.head} alone: a newer sentiment-worker has migrated it.{oldest}",
        hint="Install that version here too; nothing was changed.",
    )


def require_utf8(engine: Engine) -> None:
    """Raises ConfigurationError for a database that cannot hold every text."""
    with database.transaction(engine) as connection:
        encoding = connection.scalar(sa.text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise ConfigurationError(
            f"The database's encoding is {encoding}; texts of all languages need UTF8.",
            hint="Make one that has it: CREATE DATABASE sentiment ENCODING 'UTF8' TEMPLATE"
            " template0;",
        )


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate. Two processes that do so at once take turns.

    A step that waits for a lock holds up everybody who comes after it, so it waits a second at
    most, lets them by, and tries again. Raises DatabaseUnavailable after a minute of that,
    SchemaOutdated for a database that a newer version migrated, ConfigurationError for one that is
    not UTF-8.
    """
    from alembic import command

    database.require_own_session(engine, "A migration")
    require_utf8(engine)
    if (found := state(engine)).is_newer:
        raise _newer(found)
    for attempt in range(LOCK_ATTEMPTS):
        try:
            with _session(engine) as connection:
                connection.execute(sa.text(f"SET lock_timeout = '{LOCK_WAIT}'"))
                connection.commit()
                command.upgrade(_config(connection), revision)
            break
        except DatabaseUnavailable as error:
            if not _waited_for_a_lock(error) or attempt == LOCK_ATTEMPTS - 1:
                raise
            log.info("migration.waits", why="somebody holds a lock on a table that it changes")
            time.sleep(1.0)
    if state(engine).is_current:
        grant_roles(engine)  # what a migration made is granted as the rest is
        rollup.fold(engine)  # and counted, as if it had always been


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate back: drops what later migrations made, and what is in it."""
    from alembic import command

    database.require_own_session(engine, "A migration")
    with _session(engine) as connection:
        command.downgrade(_config(connection), revision)


def grant_roles(engine: Engine) -> dict[str, bool]:
    """Create the roles and their grants where we may; says of each role whether it exists."""
    sql = (scripts() / "roles.sql").read_text(encoding="utf-8")
    with database.cursor(engine) as cur:
        cur.execute(sql.encode())
        cur.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(ROLES),))
        found = {row[0] for row in cur.fetchall()}
    return {role: role in found for role in ROLES}


def _waited_for_a_lock(error: DatabaseUnavailable) -> bool:
    """LockNotAvailable, 55P03, is what lock_timeout raises."""
    cause = error.__cause__
    return isinstance(getattr(cause, "orig", cause), psycopg.errors.LockNotAvailable)


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _session(engine: Engine) -> Iterator[Connection]:
    """One migrating process at a time; the lock goes with the session, so it is not pooled."""
    own = database.unpooled(engine, application="sentiment-worker migrations")
    with database.translated(), own.connect() as connection:
        # Asked again and again: one that waits inside the statement holds a snapshot, and an index
        # that the other makes CONCURRENTLY would wait for that.
        take = sa.text("SELECT pg_try_advisory_lock(hashtext('sentiment-worker migrations'))")
        while not connection.scalar(take):
            connection.commit()
            time.sleep(0.2)
        connection.commit()
        yield connection
