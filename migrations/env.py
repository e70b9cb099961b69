"""Alembic's entry. `worker.store.migrate` passes a connection; `alembic` on a developer's
command line uses DATABASE_URL."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection, create_engine, text

from worker.store.database import normalise_url
from worker.store.tables import METADATA

config = context.config


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
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


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
