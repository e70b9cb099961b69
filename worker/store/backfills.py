"""Backfills: a plan that holds its exact records, window by window, and what becomes of it.

`select` is the one place that says which records a selection means: planning, and looking whether
the world has moved since, both use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine, Select

from worker.backfill import WINDOW_RECORDS, ChunkSizes, Only, Plan, Selection
from worker.chunk import distinct
from worker.cost import Estimate
from worker.errors import ConfigurationError
from worker.ports import Planner
from worker.records import Lane, Lease, Member
from worker.store import database, ingest, writing
from worker.store.tables import (
    BACKFILL,
    BACKFILL_WINDOW,
    QUARANTINE,
    RECORD,
    SCORE,
    SCORER,
    SOURCE,
)
from worker.store.views import BACKFILLS, CURRENT_SENTIMENT
from worker.store.writing import Cursor, Holder

Row = Mapping[str, Any]
OnProgress = Callable[[int], None]
"""Told how many records are planned already."""

CANCELLABLE = ("planned", "running", "paused")
"""States from which a backfill can still be cancelled."""


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
        .where(SOURCE.c.name == selection.source, r.skip_reason.is_(None))
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
        for number, window in enumerate(_windows(connection, selection), 1):
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


def _windows(connection: sa.Connection, selection: Selection) -> Iterator[list[Chosen]]:
    """By key, not by a cursor that is held open: each window is a statement of its own."""
    last, left = 0, selection.limit
    while left is None or left > 0:
        size = WINDOW_RECORDS if left is None else min(WINDOW_RECORDS, left)
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


def get(engine: Engine, backfill_id: int) -> Row:
    """The backfill with its progress, `selection` and `plan`. Raises ConfigurationError."""
    statement = sa.select(
        BACKFILLS, BACKFILL.c.selection, BACKFILL.c.plan, BACKFILL.c.source_id, SOURCE.c.kind
    ).select_from(
        BACKFILLS.join(BACKFILL, BACKFILL.c.id == BACKFILLS.c.id).join(
            SOURCE, SOURCE.c.id == BACKFILL.c.source_id
        )
    )
    with database.transaction(engine) as connection:
        found = connection.execute(statement.where(BACKFILL.c.id == backfill_id)).mappings().first()
    if found is None:
        raise ConfigurationError(
            f"There is no backfill {backfill_id}.", hint="See: sentiment-worker backfill status"
        )
    return dict(found)


def listed(engine: Engine, *, states: Sequence[str] | None = None, limit: int = 20) -> list[Row]:
    """The newest first."""
    statement = sa.select(BACKFILLS).order_by(BACKFILLS.c.id.desc()).limit(limit)
    if states is not None:
        statement = statement.where(BACKFILLS.c.state.in_(states))
    with database.transaction(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


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


def transition(
    engine: Engine,
    backfill_id: int,
    state: str,
    *,
    by: str,
    reason: str | None,
    from_states: Sequence[str],
) -> bool:
    """Move the backfill to `state`, if it is in one of `from_states`; False if it is not."""
    statement = (
        sa.update(BACKFILL)
        .where(BACKFILL.c.id == backfill_id, BACKFILL.c.state.in_(from_states))
        .values(state=state, changed_by=by, reason=reason, changed_at=sa.func.now())
    )
    with database.transaction(engine) as connection:
        return connection.execute(statement).rowcount == 1


def state_of(engine: Engine, backfill_id: int) -> str | None:
    """None if there is no such backfill."""
    with database.transaction(engine) as connection:
        found = sa.select(BACKFILL.c.state).where(BACKFILL.c.id == backfill_id)
        state: str | None = connection.scalar(found)
        return state


def revoke_leases(engine: Engine, lane: Lane, *, state: str) -> int:
    """Take back what is leased in the lane of a backfill that is in `state` (or, if that is
    "cancelled", close whatever is open of it); an answer that is still under way is refused by its
    fence. Returns how many chunks that were: none, where somebody resumed it meanwhile."""
    sql = """
        UPDATE sentiment.chunk
        SET leased_by = NULL, visible_at = now(), fence = fence + 1,
            state = CASE WHEN :cancel THEN 'cancelled' ELSE state END,
            finished_at = CASE WHEN :cancel THEN now() END
        WHERE id IN (
            SELECT id FROM sentiment.chunk
            WHERE source_id = :source AND lane = :lane AND state = 'open'
              AND (leased_by IS NOT NULL OR :cancel)
              AND EXISTS (SELECT FROM sentiment.backfill WHERE id = :lane AND state = :state)
            ORDER BY id FOR UPDATE  -- in order, as settlements lock them
        )
    """
    arguments = {
        "source": lane.source_id,
        "lane": lane.backfill_id,
        "state": state,
        "cancel": state == "cancelled",
    }
    with database.transaction(engine) as connection:
        return connection.execute(sa.text(sql), arguments).rowcount


def has_windows(engine: Engine, backfill_id: int) -> bool:
    """Is there a window that was not opened yet?"""
    w = BACKFILL_WINDOW.c
    statement = sa.select(sa.exists().where(w.backfill_id == backfill_id, w.opened_at.is_(None)))
    with database.transaction(engine) as connection:
        return bool(connection.scalar(statement))


def open_window(
    cur: Cursor, lane: Lane, run_id: int, planner: Planner, holder: Holder
) -> tuple[list[Lease], dict[str, int]] | None:
    """Make the chunks of the next window; None if there is none, or the backfill does not run."""
    sql = """
        UPDATE sentiment.backfill_window SET opened_at = now()
        WHERE (backfill_id, number) = (
            SELECT w.backfill_id, w.number
            FROM sentiment.backfill_window w JOIN sentiment.backfill b ON b.id = w.backfill_id
            WHERE w.backfill_id = %s AND w.opened_at IS NULL AND b.state = 'running'
            ORDER BY w.number LIMIT 1
            FOR SHARE OF b  -- whoever pauses or cancels it waits for this transaction
        ) AND opened_at IS NULL
        RETURNING record_ids, content_hashes
    """
    found = writing.rows(cur, sql, (lane.backfill_id,))
    if not found:
        return None
    (ids, digests) = found[0]
    sql = "SELECT id, content_hash, text FROM sentiment.record WHERE id = ANY(%s)"
    now = {i: (bytes(digest), text) for i, digest, text in writing.rows(cur, sql, (ids,))}
    members = [Member(i, bytes(digests[16 * n : 16 * n + 16])) for n, i in enumerate(ids)]
    same = [m for m in members if m.record_id in now and now[m.record_id][0] == m.content_hash]
    items = distinct((m, now[m.record_id][1]) for m in same)
    leases = ingest.create_chunks(cur, lane, run_id, list(planner(items)), holder)
    changes = {
        "read": len(members),
        "changed": len(members) - len(same),
        "unchanged": len(same),
        "superseded": len(members) - len(same),
    }
    writing.count(cur, run_id, changes)
    return leases, changes


def allow(engine: Engine, backfill_id: int, max_cost: float) -> None:
    """Let it cost so much, in US dollars, from its beginning on."""
    update = sa.update(BACKFILL).where(BACKFILL.c.id == backfill_id)
    with database.transaction(engine) as connection:
        connection.execute(update.values(max_cost=max_cost))


def finish(engine: Engine, lane: Lane, *, by: str) -> bool:
    """Call it done, if every window was opened and no chunk of it is open."""
    sql = """
        UPDATE sentiment.backfill SET state = 'done', changed_by = :by, changed_at = now(),
            reason = NULL
        WHERE id = :lane AND state = 'running'
          AND NOT EXISTS (SELECT FROM sentiment.backfill_window
                          WHERE backfill_id = :lane AND opened_at IS NULL)
          AND NOT EXISTS (SELECT FROM sentiment.chunk
                          WHERE source_id = :source AND lane = :lane AND state = 'open')
    """
    arguments = {"lane": lane.backfill_id, "source": lane.source_id, "by": by}
    with database.transaction(engine) as connection:
        return connection.execute(sa.text(sql), arguments).rowcount == 1
