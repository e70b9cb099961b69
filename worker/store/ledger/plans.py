"""Which records a backfill means: its plan by windows, and whether the world has moved since.

`select` is the one place that says which records a selection means: planning, and looking whether
the world has moved since, both use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine, Select

from worker.chunk import distinct
from worker.cost import Estimate
from worker.records import Member
from worker.selection import WINDOW_RECORDS, ChunkSizes, Only, Plan, Selection
from worker.store import database
from worker.store.analytics.views import CURRENT_SENTIMENT
from worker.store.tables import (
    BACKFILL,
    BACKFILL_WINDOW,
    QUARANTINE,
    RECORD,
    SCORE,
    SCORER,
    SOURCE,
)

OnProgress = Callable[[int], None]
"""Told how many records are planned already."""


class Chosen(NamedTuple):
    """A record of a selection."""

    record_id: int
    content_hash: bytes
    text: str
    scored: bool
    """By the wanted model version, its text as it stands."""


def select(selection: Selection) -> Select[Any]:
    """Records of the selection, oldest id first, as `Chosen`."""
    r = RECORD.c
    moment = sa.func.coalesce(r.published_at, r.ingested_at)
    statement = (
        sa.select(r.id, r.content_hash, r.text, _scored_by(selection.target_version))
        .join(SOURCE, SOURCE.c.id == r.source_id)
        .where(SOURCE.c.name == selection.source, r.skip_reason.is_(None), r.gone_at.is_(None))
        .order_by(r.id)
    )
    conditions: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        (selection.since, moment.__ge__),
        (selection.until, moment.__lt__),
        (selection.contains, lambda text: r.text.icontains(text, autoescape=True)),
        (selection.label, lambda label: _current(CURRENT_SENTIMENT.c.label == label)),
        (selection.scorer, lambda name: _current(CURRENT_SENTIMENT.c.scorer == name)),
        (
            selection.model_version,
            lambda version: _current(CURRENT_SENTIMENT.c.model_version == version),
        ),
    ]
    for value, condition in conditions:
        if value is not None:
            statement = statement.where(condition(value))
    if selection.only is Only.FAILED:
        statement = statement.where(sa.exists().where(QUARANTINE.c.record_id == r.id))
    elif selection.only is Only.PROVISIONAL:
        statement = statement.where(_scored(SCORE.c.provisional), ~_scored_by(None))
    elif selection.only is Only.MISSING:
        statement = statement.where(~_scored_by(selection.target_version))
    return statement.limit(selection.limit)


def _scored(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    same = (SCORE.c.record_id == RECORD.c.id, SCORE.c.content_hash == RECORD.c.content_hash)
    return sa.exists().where(*same, SCORER.c.id == SCORE.c.scorer_id, *conditions).correlate(RECORD)


def _scored_by(version: str | None) -> ColumnElement[bool]:
    """Has the record a final score by this version (None: by any model)?"""
    conditions = [~SCORE.c.provisional, SCORER.c.provider != "textblob"]
    if version is not None:
        conditions.append(SCORER.c.version == version)
    return _scored(*conditions)


def _current(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    shown = sa.exists().where(CURRENT_SENTIMENT.c.record_id == RECORD.c.id, condition)
    return shown.correlate(RECORD)


def plan(
    engine: Engine,
    selection: Selection,
    estimated: Callable[[int, int], Estimate],
    *,
    by: str,
    max_cost: float | None,
    store: bool,
    sizes: ChunkSizes,
    told: OnProgress = lambda count: None,
    window_records: int = WINDOW_RECORDS,
) -> tuple[int | None, Plan]:
    """Cut the selection into windows and chunks; (its id if it was kept, what it is).

    It is kept if `store`, unless it is empty or dearer than `max_cost` (US dollars). `estimated`
    makes a cost of texts and chunks. One snapshot, streamed: memory is a window's.
    """
    planner = sizes.planner()
    records = texts = chunks = scored = number = 0
    with database.transaction(engine) as connection:
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        backfill_id = _created(connection, selection, by, max_cost) if store else None
        for number, window in enumerate(_windows(connection, selection, window_records), 1):
            items = distinct((Member(c.record_id, c.content_hash), c.text) for c in window)
            records += len(window)
            texts += len(items)
            chunks += sum(1 for _ in planner(items))
            scored += sum(c.scored for c in window)
            if backfill_id is not None:
                connection.execute(sa.insert(BACKFILL_WINDOW), _row(backfill_id, number, window))
            told(records)
        found = Plan(records, texts, chunks, scored, estimated(texts, chunks), number)
        if backfill_id is not None and found.is_worth(max_cost):
            kept = _flat(found) | asdict(sizes)
            update = sa.update(BACKFILL).where(BACKFILL.c.id == backfill_id)
            connection.execute(update.values(plan=kept))
            return backfill_id, found
        connection.rollback()
    return None, found


def _created(
    connection: sa.Connection, selection: Selection, by: str, max_cost: float | None
) -> int:
    source = sa.select(SOURCE.c.id).where(SOURCE.c.name == selection.source).scalar_subquery()
    made = sa.insert(BACKFILL).values(
        source_id=source,
        selection=selection.as_json(),
        plan={},
        max_cost=max_cost,
        created_by=by,
        changed_by=by,
    )
    return int(connection.execute(made.returning(BACKFILL.c.id)).scalar_one())


def _windows(connection: sa.Connection, selection: Selection, most: int) -> Iterator[list[Chosen]]:
    """By key, not by a cursor that is held open: each window is a statement of its own."""
    last, left = 0, selection.limit
    while left is None or left > 0:
        size = most if left is None else min(most, left)
        statement = select(replace(selection, limit=size)).where(RECORD.c.id > last)
        window = [Chosen(i, bytes(h), t, s) for i, h, t, s in connection.execute(statement)]
        if not window:
            return
        yield window
        last = window[-1].record_id
        left = None if left is None else left - len(window)


def _row(backfill_id: int, number: int, window: Sequence[Chosen]) -> dict[str, Any]:
    return {
        "backfill_id": backfill_id,
        "number": number,
        "record_ids": [c.record_id for c in window],
        "content_hashes": b"".join([c.content_hash for c in window]),
    }


def _flat(plan: Plan) -> dict[str, Any]:
    found = asdict(plan)
    estimate: dict[str, Any] = found.pop("estimate")
    return estimate | found


def drift(engine: Engine, backfill_id: int, selection: Selection) -> list[str]:
    """What is no longer as it was planned, a sentence each; none if the plan still stands."""
    planned = (
        sa.text("""
        SELECT w.id, w.content_hash
        FROM sentiment.backfill_window b,
             LATERAL unnest(b.record_ids) WITH ORDINALITY AS u(id, n),
             LATERAL (SELECT u.id, substring(b.content_hashes FROM (16 * (u.n - 1) + 1)::int FOR 16)
                      AS content_hash) w
        WHERE b.backfill_id = :id AND b.opened_at IS NULL
    """)
        .bindparams(id=backfill_id)
        .columns(id=sa.BigInteger, content_hash=sa.LargeBinary)
    )
    p = planned.subquery("planned")
    now = select(selection).subquery("now")
    rewritten = (
        sa.select(sa.func.count())
        .select_from(p.join(RECORD, RECORD.c.id == p.c.id, isouter=True))
        .where(sa.or_(RECORD.c.id.is_(None), RECORD.c.content_hash != p.c.content_hash))
    )
    arrived = sa.select(sa.func.count()).where(~sa.exists().where(p.c.id == now.c.id))
    arrived = arrived.select_from(now)
    left = sa.select(sa.func.count()).select_from(p).where(~sa.exists().where(now.c.id == p.c.id))
    with database.transaction(engine) as connection:
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        counts = [connection.scalar(each) or 0 for each in (rewritten, arrived, left)]
    said = (
        "{:,} of its records were rewritten",
        "{:,} more records belong to it by now",
        "{:,} of its records no longer belong to it",
    )
    return [text.format(n) for text, n in zip(said, counts, strict=True) if n]
