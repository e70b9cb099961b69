"""Runs and backfills: how they stand, why they take place and end, and what they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    QUARANTINED = "quarantined"
    """Done, but some rows or records are in quarantine."""
    DEGRADED = "degraded"
    """Work is left, because the Lambda could not be used."""
    PARTIAL = "partial"
    """The source could be read in part; that part was stored."""
    FAILED = "failed"
    STOPPED = "stopped"
    """By a signal."""
    PAUSED = "paused"
    OVER_BUDGET = "over_budget"
    LOST = "lost"
    """Its process ended, or slept, without a word."""
    MISSED = "missed"
    """It was due, and did not take place."""


class Trigger(StrEnum):
    """Why a run takes place."""

    SCHEDULE = "schedule"
    DRAIN = "drain"
    """Between two runs of the schedule, for what has come back."""
    ONCE = "once"
    REDRIVE = "redrive"
    RETRY = "retry"
    BACKFILL = "backfill"
    SCAN = "scan"
    """For records that the source has no more."""


PULLS = [Trigger.SCHEDULE.value, Trigger.ONCE.value]
"""Runs that read their source."""

SILENT = [RunState.RUNNING.value, RunState.MISSED.value, RunState.LOST.value]
"""Runs that say nothing of their source: not yet, or not any more."""


class BackfillState(StrEnum):
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


class StopReason(StrEnum):
    """Why a run ends before its work does."""

    SIGNAL = "stopped"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    BUDGET = "over_budget"
    MAX_COST = "max_cost"
    VERSION = "version"
    """The function answers with another model version than the one that is wanted."""


@dataclass(slots=True)
class Counters:
    """What a run did. `read` is the sum of the five that follow it, always.

    Mutable on purpose: it is the run's ledger while the run lasts, owned by one task.
    """

    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicate: int = 0
    """Rows whose id came again in the same page; the last one won."""
    quarantined: int = 0
    skipped: int = 0
    """Of new and changed: recorded, nothing to score (empty text)."""
    scored: int = 0
    provisional: int = 0
    undecided: int = 0
    superseded: int = 0
    """Rewritten at the source before they were scored; the newer text has its own chunk."""
    dead: int = 0
    """Records that the model could not score; in quarantine."""
    invocations: int = 0
    texts_sent: int = 0
    throttled: int = 0
    failed: int = 0
    fenced: int = 0
    """Settlements refused because the lease had moved on."""
    billed_ms: int = 0
    billed_mb_ms: int = 0
    """Megabytes times milliseconds; / 1,024,000 is GB-seconds."""
    unreported: int = 0
    """Calls that brought no report line: what is billed for them is an upper bound."""

    def add(self, other: Mapping[str, int]) -> None:
        for name, value in other.items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended."""

    run_id: int
    source: str
    state: str
    counters: Counters
    pending: int = 0
    """Records that still wait for the model."""
    error: str | None = None
    hint: str = ""
    exit_code: int = 0
    seconds: float = 0.0
    stop_reason: StopReason | None = None
    """Why it ended before its work did."""
