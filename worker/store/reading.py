"""What people ask of the database: the questions of the reading commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine

from worker import words
from worker.errors import ConfigurationError, Unknown
from worker.states import Trigger
from worker.store import database
from worker.store.analytics.views import PENDING_WORK, REFUSED, RUN_HISTORY, SOURCES
from worker.store.tables import (
    CHUNK,
    QUARANTINE,
    RECORD,
    SCORE,
    SOURCE,
)

Row = Mapping[str, Any]


def status(engine: Engine) -> list[Row]:
    """One row a source: what is there, what waits, how the last run ended."""
    r, s = RECORD, SOURCE
    quarantined = (
        sa.select(sa.func.count()).where(QUARANTINE.c.source_id == s.c.id).scalar_subquery()
    )
    last = (
        sa.select(RUN_HISTORY.c.state, RUN_HISTORY.c.finished_at)
        .where(
            RUN_HISTORY.c.source == s.c.name,
            RUN_HISTORY.c.backfill_id.is_(None),
            RUN_HISTORY.c.trigger != Trigger.DRAIN,
        )
        .order_by(RUN_HISTORY.c.id.desc())
        .limit(1)
        .lateral()
    )
    statement = (
        sa.select(
            s.c.name.label("source"),
            sa.select(sa.func.count())
            .where(r.c.source_id == s.c.id, r.c.gone_at.is_(None))
            .scalar_subquery()
            .label("records"),
            PENDING_WORK.c.records.label("pending"),
            _waiting_provisionally().label("provisional"),
            PENDING_WORK.c.oldest.label("oldest_pending"),
            quarantined.label("quarantined"),
            last.c.state.label("last_run"),
            last.c.finished_at.label("last_finished"),
        )
        .join(PENDING_WORK, PENDING_WORK.c.source == s.c.name)
        .outerjoin(last, sa.true())
        .order_by(s.c.name)
    )
    return database.rows(engine, statement)


def _waiting_provisionally() -> ColumnElement[int]:
    """Of a source, the records that have TextBlob's score while they wait for the model's. Not
    every record that TextBlob was asked about has one."""
    c, v = CHUNK.c, SCORE.c
    held = sa.select(sa.func.unnest(c.record_ids)).correlate(SOURCE)
    held = held.where(c.source_id == SOURCE.c.id, c.state == "open", c.provisional, c.lane == 0)
    scored = sa.exists().where(
        v.record_id == RECORD.c.id, v.content_hash == RECORD.c.content_hash, v.provisional
    )
    waiting = sa.select(sa.func.count()).select_from(RECORD)
    return waiting.where(RECORD.c.id.in_(held), scored).scalar_subquery()


def source_names(engine: Engine) -> list[str]:
    """Of every source that was ever read."""
    names = sa.select(SOURCES.c.name).order_by(SOURCES.c.name)
    return [row["name"] for row in database.rows(engine, names)]


def require_source(engine: Engine, name: str) -> None:
    """Raises Unknown for a source that nothing was ever read from."""
    known = source_names(engine)
    if name not in known:
        raise Unknown(f"No source is named {name!r}.", hint=words.instead(name, known))


# Cursors say which sources may share files; the records themselves, how many they do share.
_ELSEWHERE = """
WITH mine AS (
    SELECT c.* FROM sentiment.cursor c JOIN sentiment.source s ON s.id = c.source_id
    WHERE s.name = :source AND c.partition <> '' AND c.position ->> 'stamp' IS NOT NULL
      AND c.position ? 'offset'  -- a file that was refused has none
), pairs AS (
    SELECT mine.partition, mine.source_id AS here, other.source_id AS there
    FROM mine JOIN sentiment.cursor other USING (partition)
    WHERE other.source_id <> mine.source_id AND other.position ? 'offset'
    UNION
    SELECT mine.partition, mine.source_id, other.source_id
    FROM mine
    JOIN sentiment.cursor other ON other.position ->> 'digest' = mine.position ->> 'digest'
    WHERE other.source_id <> mine.source_id
      AND other.position -> 'offset' = mine.position -> 'offset'
      AND (mine.position ->> 'line')::bigint > 1  -- more than a header
), sources AS (
    SELECT min(partition) AS partition, here, there FROM pairs GROUP BY here, there
)
SELECT p.partition, s.name AS source, counted.*
FROM sources p JOIN sentiment.source s ON s.id = p.there
CROSS JOIN LATERAL (
    SELECT count(*) AS records, count(o.content_hash) AS shared
    FROM sentiment.record r LEFT JOIN (
        SELECT DISTINCT content_hash FROM sentiment.record
        WHERE source_id = p.there AND gone_at IS NULL
    ) o USING (content_hash)
    WHERE r.source_id = p.here AND r.gone_at IS NULL
) counted
WHERE shared > 0 ORDER BY partition, source LIMIT :limit
"""


def read_elsewhere(engine: Engine, source: str, limit: int) -> list[Row]:
    """Sources that have read a file of this one too, by its place or by its content: (partition,
    source, records, shared). Of this source's `records`, `shared` have a text that is there."""
    return database.rows(engine, sa.text(_ELSEWHERE), {"source": source, "limit": limit})


def source_id(engine: Engine, name: str) -> int:
    """Of a source that `require_source` knows."""
    with database.transaction(engine) as connection:
        return int(connection.scalar(sa.select(SOURCES.c.id).where(SOURCES.c.name == name)) or 0)


def run(engine: Engine, run_id: int) -> Row:
    """A run whole. Raises ConfigurationError."""
    found = database.rows(engine, sa.select(RUN_HISTORY).where(RUN_HISTORY.c.id == run_id))
    if not found:
        raise ConfigurationError(f"There is no run {run_id}.", hint="See: sentiment-worker runs")
    return found[0]


def runs(engine: Engine, *, source: str | None, limit: int) -> list[Row]:
    """The newest runs first."""
    statement = sa.select(RUN_HISTORY).order_by(RUN_HISTORY.c.id.desc()).limit(limit)
    if source:
        statement = statement.where(RUN_HISTORY.c.source == source)
    return database.rows(engine, statement)


def outcomes(engine: Engine, source: str, limit: int) -> list[str]:
    """How its last runs by schedule or by hand ended, the newest first."""
    c = RUN_HISTORY.c
    statement = sa.select(c.state).where(
        c.source == source, c.backfill_id.is_(None), c.trigger != Trigger.DRAIN
    )
    return [
        row["state"] for row in database.rows(engine, statement.order_by(c.id.desc()).limit(limit))
    ]


def quarantine(engine: Engine, *, source: str | None, limit: int) -> list[Row]:
    """The newest refusals first, without the raw bytes."""
    statement = sa.select(REFUSED).order_by(REFUSED.c.id.desc()).limit(limit)
    if source:
        statement = statement.where(REFUSED.c.source == source)
    return database.rows(engine, statement)


def quarantined_row(engine: Engine, row_id: int) -> Row | None:
    """One refusal whole."""
    statement = sa.select(QUARANTINE, SOURCE.c.name.label("source")).join(SOURCE)
    found = database.rows(engine, statement.where(QUARANTINE.c.id == row_id))
    return found[0] if found else None


def redrivable(
    engine: Engine,
    *,
    ids: Sequence[int] | None,
    source: str | None,
    run_id: int | None = None,
) -> list[Row]:
    """Rows of quarantine that may be tried again: those with `ids` (None: any), of `source`, that
    `run_id` met last."""
    q = QUARANTINE.c
    statement = sa.select(
        q.id,
        SOURCE.c.name.label("source"),
        SOURCE.c.kind,
        q.stage,
        q.partition,
        q.offset,
        q.record_id,
    ).join(SOURCE)
    if ids is not None:
        statement = statement.where(q.id.in_(ids))
    if source is not None:
        statement = statement.where(SOURCE.c.name == source)
    if run_id is not None:
        statement = statement.where(q.run_id == run_id)
    return database.rows(engine, statement.order_by(q.id))
