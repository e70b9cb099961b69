"""How runs and backfills stand, and who asked for a run. As the database has them."""

from __future__ import annotations

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
