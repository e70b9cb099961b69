"""The tables as SQLAlchemy Core, for queries that are composed. Migrations are the authority;
a test holds the two together (`alembic check`)."""

from worker.store.tables.analytics import DAILY, OVERRIDE, REVIEW, REVIEW_ITEM, TALLY, TOUCHED
from worker.store.tables.base import METADATA
from worker.store.tables.journal import CHUNK, QUARANTINE, RECORD, REVISION, SCORE, SCORER
from worker.store.tables.ledger import (
    BACKFILL,
    BACKFILL_WINDOW,
    CURSOR,
    CURSOR_CHANGE,
    HOLD,
    PAUSE,
    RUN,
    SOURCE,
    SPEND,
    TOLERATED,
    TRANSCRIPT,
)

__all__ = [
    "BACKFILL",
    "BACKFILL_WINDOW",
    "CHUNK",
    "CURSOR",
    "CURSOR_CHANGE",
    "DAILY",
    "HOLD",
    "METADATA",
    "OVERRIDE",
    "PAUSE",
    "QUARANTINE",
    "RECORD",
    "REVIEW",
    "REVIEW_ITEM",
    "REVISION",
    "RUN",
    "SCORE",
    "SCORER",
    "SOURCE",
    "SPEND",
    "TALLY",
    "TOLERATED",
    "TOUCHED",
    "TRANSCRIPT",
]
