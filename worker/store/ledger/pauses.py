"""Sources that are paused: why, by whom, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.states import PULLS, SILENT, RunState
from worker.store import database
from worker.store.tables import PAUSE, RUN, SOURCE

Row = Mapping[str, Any]

UNTIL_RESUMED = datetime(9999, 1, 1, tzinfo=UTC)
"""Of a pause that only a person ends."""

_lasts = sa.and_(PAUSE.c.until > sa.func.now(), PAUSE.c.ended_by.is_(None))


def begin(engine: Engine, source_id: int, *, by: str, reason: str, until: datetime) -> None:
    """Pause a source; a pause that lasts already is replaced."""
    with database.transaction(engine) as connection:
        connection.execute(
            sa.update(PAUSE).where(PAUSE.c.source_id == source_id, _lasts).values(ended_by=by)
        )
        connection.execute(
            sa.insert(PAUSE).values(source_id=source_id, reason=reason, paused_by=by, until=until)
        )


def end(engine: Engine, source_id: int, *, by: str) -> bool:
    """End a source's pause now; False if there was none."""
    statement = sa.update(PAUSE).where(PAUSE.c.source_id == source_id, _lasts)
    with database.transaction(engine) as connection:
        return connection.execute(statement.values(ended_by=by)).rowcount > 0


def current(engine: Engine) -> dict[str, Row]:
    """The pauses that last, by source."""
    statement = (
        sa.select(SOURCE.c.name, PAUSE.c.reason, PAUSE.c.paused_by, PAUSE.c.since, PAUSE.c.until)
        .join(SOURCE, SOURCE.c.id == PAUSE.c.source_id)
        .where(_lasts)
    )
    with database.transaction(engine) as connection:
        return {row["name"]: dict(row) for row in connection.execute(statement).mappings()}


def is_endless(pause: Row) -> bool:
    """Does it last until somebody ends it?"""
    return bool(pause["until"] >= UNTIL_RESUMED)


def told(pause: Row) -> str:
    """How long it lasts, and why."""
    if is_endless(pause):
        return f"until somebody resumes it: {pause['reason']}"
    return f"until {pause['until']:%Y-%m-%d %H:%M} UTC: {pause['reason']}"


def begin_if_failing(engine: Engine, source_id: int, *, runs: int, by: str) -> str | None:
    """Pause a source whose last `runs` runs have all failed, until somebody resumes it; why, or
    None. Runs before its last pause do not count: who resumes it has mended something."""
    newest = sa.select(sa.func.max(PAUSE.c.since)).where(PAUSE.c.source_id == source_id)
    begun = sa.func.coalesce(newest.scalar_subquery(), sa.text("'-infinity'::timestamptz"))
    last = (
        sa.select(RUN.c.state, RUN.c.error)
        .where(RUN.c.source_id == source_id, RUN.c.state.not_in(SILENT))
        .where(RUN.c.trigger.in_(PULLS), RUN.c.started_at > begun)
        .order_by(RUN.c.id.desc())
        .limit(runs)
    )
    with database.transaction(engine) as connection:
        found = connection.execute(last).all()
    if len(found) < runs or any(run.state != RunState.FAILED for run in found):
        return None
    reason = f"its last {runs:,} runs failed, the newest with: {found[0].error}"
    begin(engine, source_id, by=by, reason=reason, until=UNTIL_RESUMED)
    return reason
