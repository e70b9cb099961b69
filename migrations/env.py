"""Alembic's entry. `worker.store.migrate` passes a connection; `alembic` on a developer's
command line uses DATABASE_URL."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from sqlalchemy import Connection, create_engine, text

from worker.store.database import normalise_url
from worker.store.tables import METADATA

config = context.config

_HAS_ANALYTICS = text("SELECT to_regnamespace('analytics')")  # since 0002
_TOLERATE = text("INSERT INTO sentiment.tolerated VALUES (:oldest)")
_HAS_TOLERATED = text("SELECT to_regclass('sentiment.tolerated')")


def _run(connection: Connection) -> None:
    # Alembic's own table lives in our schema, so the schema must stand before the first step.
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS sentiment"))
    connection.commit()  # else every step would be in this transaction, and keep its locks
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        version_table_schema="sentiment",
        include_schemas=True,
        include_name=_ours,
        transaction_per_migration=True,
        compare_type=True,
        on_version_apply=_applied,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


def _applied(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
) -> None:
    """After each migration, in its own transaction."""
    if ctx.connection is not None:
        _grant(ctx.connection)
        _note_the_oldest_worker(ctx.connection, step)


def _grant(connection: Connection) -> None:
    """A new trigger may write to a new table while workers are running."""
    if connection.scalar(_HAS_ANALYTICS):
        sql = (Path(__file__).parent / "roles.sql").read_text(encoding="utf-8")
        connection.exec_driver_sql(sql.replace("%", "%%"))


def _note_the_oldest_worker(connection: Connection, step: MigrationInfo) -> None:
    """Record the oldest worker that may run on this schema. A migration that names none tolerates
    only its own version."""
    steps = (step.up_revision,) if step.is_upgrade else step.down_revisions
    left = steps[0] if steps else None
    if isinstance(left, Script) and connection.scalar(_HAS_TOLERATED):
        oldest = getattr(left.module, "oldest_worker", left.revision)
        connection.execute(text("DELETE FROM sentiment.tolerated"))
        connection.execute(_TOLERATE, {"oldest": oldest})


def _ours(name: str | None, kind: str, parents: object) -> bool:
    if kind == "schema":
        return name == "sentiment"
    return name != "alembic_version"


connection: Connection | None = config.attributes.get("connection")
if connection is not None:
    _run(connection)
else:
    engine = create_engine(normalise_url(os.environ["DATABASE_URL"]))
    with engine.connect() as fresh:
        _run(fresh)
