"""Backfills: what becomes of a plan, window by window, and stopping it. Plans: `store.plans`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import ConfigurationError
from worker.records import Lane
from worker.states import BackfillState, RunState
from worker.store import database
from worker.store.analytics.views import BACKFILLS
from worker.store.tables import BACKFILL, BACKFILL_WINDOW, RUN, SOURCE

Row = Mapping[str, Any]

CANCELLABLE = (BackfillState.PLANNED, BackfillState.RUNNING, BackfillState.PAUSED)
"""States from which a backfill can still be cancelled."""


_HEARD_OF = sa.text("interval '1 minute'")

_at_work = (
    sa.exists()
    .where(
        RUN.c.lane == BACKFILLS.c.id,
        RUN.c.state == RunState.RUNNING,
        RUN.c.heartbeat_at > sa.func.now() - _HEARD_OF,
    )
    .label("at_work")
)
"""Is a process at work on it?"""


def get(engine: Engine, backfill_id: int) -> Row:
    """The backfill with its progress, `at_work`, `selection` and `plan`.

    Raises ConfigurationError.
    """
    statement = sa.select(
        BACKFILLS,
        _at_work,
        BACKFILL.c.selection,
        BACKFILL.c.plan,
        BACKFILL.c.source_id,
        SOURCE.c.kind,
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
    """The newest first, with `at_work`."""
    statement = sa.select(BACKFILLS, _at_work).order_by(BACKFILLS.c.id.desc()).limit(limit)
    if states is not None:
        statement = statement.where(BACKFILLS.c.state.in_(states))
    return database.rows(engine, statement)


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


def explain(engine: Engine, backfill_id: int, reason: str | None) -> None:
    """Say why one that is running does not go on now; None: it does."""
    update = sa.update(BACKFILL).where(
        BACKFILL.c.id == backfill_id, BACKFILL.c.state == BackfillState.RUNNING
    )
    with database.transaction(engine) as connection:
        connection.execute(update.values(reason=reason))


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
        "cancel": state == BackfillState.CANCELLED,
    }
    with database.transaction(engine) as connection:
        return connection.execute(sa.text(sql), arguments).rowcount


def has_windows(engine: Engine, backfill_id: int) -> bool:
    """Is there a window that was not opened yet?"""
    w = BACKFILL_WINDOW.c
    statement = sa.select(sa.exists().where(w.backfill_id == backfill_id, w.opened_at.is_(None)))
    with database.transaction(engine) as connection:
        return bool(connection.scalar(statement))


def set_max_cost(engine: Engine, backfill_id: int, max_cost: float) -> None:
    """Let it cost so much, in US dollars, from its beginning on."""
    update = sa.update(BACKFILL).where(BACKFILL.c.id == backfill_id)
    with database.transaction(engine) as connection:
        connection.execute(update.values(max_cost=max_cost))


def finish(engine: Engine, lane: Lane, *, by: str) -> bool:
    """Call it done, if every window was opened and no chunk of it is open."""
    sql = """
        UPDATE sentiment.backfill SET state = :done, changed_by = :by, changed_at = now(),
            reason = NULL
        WHERE id = :lane AND state = :running
          AND NOT EXISTS (SELECT FROM sentiment.backfill_window
                          WHERE backfill_id = :lane AND opened_at IS NULL)
          AND NOT EXISTS (SELECT FROM sentiment.chunk
                          WHERE source_id = :source AND lane = :lane AND state = 'open')
    """
    arguments = {
        "lane": lane.backfill_id,
        "source": lane.source_id,
        "by": by,
        "done": BackfillState.DONE,
        "running": BackfillState.RUNNING,
    }
    with database.transaction(engine) as connection:
        return connection.execute(sa.text(sql), arguments).rowcount == 1
