"""Cursors as an operator sees them: read, set, and their history; every change can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import JSONB

from worker.errors import ConfigurationError
from worker.store import database, driver, reading
from worker.store.tables import CURSOR, CURSOR_CHANGE, SOURCE

Row = Mapping[str, Any]
Positions = Mapping[str, Any]
"""By partition: what the source made of it, JSON."""


def get(engine: Engine, source: str) -> dict[str, Any]:
    """Where a source stands, by partition: what `put` takes."""
    statement = (
        sa.select(CURSOR.c.partition, CURSOR.c.position)
        .join(SOURCE)
        .where(SOURCE.c.name == source)
        .order_by(CURSOR.c.partition)
    )
    with database.transaction(engine) as connection:
        return dict(connection.execute(statement).tuples().all())


KNOWN = """
SELECT c.partition, c.position || CASE
    WHEN c.identity IS NOT NULL THEN jsonb_build_object('identity', c.identity)
    WHEN c.position <> '{}' THEN '{}'
    ELSE coalesce((SELECT jsonb_build_object('before', h.before) FROM sentiment.cursor_change h
                   WHERE h.source_id = c.source_id AND h.partition = c.partition
                     AND h.before <> '{}' ORDER BY h.id DESC LIMIT 1), '{}') END, c.version
FROM sentiment.cursor c WHERE c.source_id = %(source)s
"""
"""Where a source stands, by partition: what its next run is told. "identity" is what is kept of
`Page.identity`, wherever the cursor was put since; without one "before" is where it stood before it
was put back to its beginning."""


def known(engine: Engine, source: str) -> dict[str, Any]:
    """What a source's next run is told: where it stands, and with which ids it was read."""
    with database.cursor(engine) as cur:
        found = driver.rows(cur, KNOWN, {"source": reading.source_id(engine, source)})
        return {partition: position for partition, position, _ in found}


def put(
    engine: Engine, source_id: int, wanted: Positions, *, by: str, why: str, whole: bool
) -> list[Row]:
    """Set cursors, under the source's lock; `whole` also takes away those that `wanted` lacks.

    A removed cursor becomes an empty position, which a source reads as its beginning. Returns the
    changes that were made.
    """
    with database.transaction(engine) as connection:
        present: dict[str, Any] = dict(
            connection.execute(
                sa.select(CURSOR.c.partition, CURSOR.c.position)
                .where(CURSOR.c.source_id == source_id)
                .with_for_update()
            )
            .tuples()
            .all()
        )
        target = dict(wanted)
        if whole:
            target |= {name: {} for name in present if name not in wanted}
        changes: list[Row] = [
            {"partition": name, "before": present.get(name), "after": position}
            for name, position in sorted(target.items())
            if present.get(name) != position
        ]
        for change in changes:
            _write(connection, source_id, change, by, why)
    return changes


def _write(
    connection: sa.Connection, source_id: int, change: Mapping[str, Any], by: str, why: str
) -> None:
    sql = sa.text("""
        WITH noted AS (
            INSERT INTO sentiment.cursor_change
                (source_id, partition, before, after, changed_by, why)
            VALUES (:source, :partition, :before, :after, :by, :why)
        )
        INSERT INTO sentiment.cursor AS c (source_id, partition, position, version, run_id)
        SELECT :source, :partition, :after, 1, max(id) FROM sentiment.run WHERE source_id = :source
        ON CONFLICT (source_id, partition) DO UPDATE
            SET position = excluded.position, version = c.version + 1, updated_at = now()
    """).bindparams(sa.bindparam("before", type_=JSONB(none_as_null=True)),
                    sa.bindparam("after", type_=JSONB))  # fmt: skip
    arguments = {"source": source_id, "by": by, "why": why}
    connection.execute(sql, arguments | dict(change))


def history(engine: Engine, source: str, *, limit: int) -> list[Row]:
    """Who moved a source's cursors, from where, to where; the newest first."""
    c = CURSOR_CHANGE.c
    statement = (
        sa.select(c.id, c.partition, c.before, c.after, c.run_id, c.changed_by, c.why, c.changed_at)
        .join(SOURCE, SOURCE.c.id == c.source_id)
        .where(SOURCE.c.name == source)
        .order_by(c.id.desc())
        .limit(limit)
    )
    return database.rows(engine, statement)


def before(engine: Engine, source: str, change_id: int) -> dict[str, Any]:
    """Where the cursors stood before a change. Raises ConfigurationError."""
    found = _positions(engine, source, CURSOR_CHANGE.c.id >= change_id)
    if not found:
        raise ConfigurationError(
            f"There is no change {change_id} of {source!r}, nor a later one.",
            hint="See: sentiment-worker state history",
        )
    return found


def at(engine: Engine, source: str, moment: datetime) -> dict[str, Any]:
    """Where the cursors stood at a time. Raises ConfigurationError where the history does not
    reach back so far."""
    c = CURSOR_CHANGE.c
    first = (
        sa.select(c.before, c.changed_at)
        .distinct(c.partition)
        .join(SOURCE, SOURCE.c.id == c.source_id)
        .where(SOURCE.c.name == source)
        .order_by(c.partition, c.id)
    )
    with database.transaction(engine) as connection:
        begins = [at for known, at in connection.execute(first) if known is not None]
    if begins and max(begins) > moment:
        raise ConfigurationError(
            f"The history of {source!r} begins on {max(begins):%Y-%m-%d %H:%M} UTC.",
            hint="Go back to a later time, or read everything again: --beginning.",
        )
    return _positions(engine, source, CURSOR_CHANGE.c.changed_at > moment)


def _positions(engine: Engine, source: str, later: sa.ColumnElement[bool]) -> dict[str, Any]:
    """Of each partition that was moved later, where it stood before the first of those moves."""
    c = CURSOR_CHANGE.c
    statement = (
        sa.select(c.partition, c.before)
        .distinct(c.partition)
        .join(SOURCE, SOURCE.c.id == c.source_id)
        .where(SOURCE.c.name == source, later)
        .order_by(c.partition, c.id)
    )
    with database.transaction(engine) as connection:
        return {name: position or {} for name, position in connection.execute(statement)}
