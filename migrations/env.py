"""Alembic's entry. `worker.store.migrate` passes a connection; `alembic` on a developer's
command line uses DATABASE_URL."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from sqlalchemy import Connection, create_engine, text

from worker.store.database import normalise_url
from worker.store.tables import METADATA

config = context.config

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
        on_version_apply=_note_the_oldest_worker,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


def _note_the_oldest_worker(
    ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]
) -> None:
    """In the migration's own transaction: which workers may go on working on the schema that it
    leaves. A migration that says nothing tolerates those of its own version alone."""
    steps = (step.up_revision,) if step.is_upgrade else step.down_revisions
    left = steps[0] if steps else None
    if (
        not isinstance(left, Script)
        or ctx.connection is None
        or not ctx.connection.scalar(_HAS_TOLERATED)
    ):
        return
    oldest = getattr(left.module, "oldest_worker", left.revision)
    ctx.connection.execute(text("DELETE FROM sentiment.tolerated"))
    ctx.connection.execute(
        text("INSERT INTO sentiment.tolerated VALUES (:oldest)"), {"oldest": oldest}
    )


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
