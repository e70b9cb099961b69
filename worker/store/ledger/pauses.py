"""Sources that rest for a while: why, by whose word, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.store import database
from worker.store.tables import PAUSE, SOURCE

Row = Mapping[str, Any]

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


def present(engine: Engine) -> dict[str, Row]:
    """The pauses that last, by source."""
    statement = (
        sa.select(SOURCE.c.name, PAUSE.c.reason, PAUSE.c.paused_by, PAUSE.c.since, PAUSE.c.until)
        .join(SOURCE, SOURCE.c.id == PAUSE.c.source_id)
        .where(_lasts)
    )
    with database.transaction(engine) as connection:
        return {row["name"]: dict(row) for row in connection.execute(statement).mappings()}
