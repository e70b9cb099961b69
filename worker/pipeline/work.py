"""What a run is about, and what it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from worker.pipeline.fanout import FanOut
from worker.pipeline.feed import Feed
from worker.pipeline.judge import Judge
from worker.ports import Journal, Planner, Tracer
from worker.records import Lane
from worker.stages import Stages
from worker.states import StopReason


@dataclass(frozen=True, slots=True)
class Parts:
    """What every run of this process shares."""

    journal: Journal
    fanout: FanOut
    judge: Judge
    planner: Planner
    lease_s: float
    grace_s: float
    """How long a stopping run waits for calls under way."""
    tracer: Tracer
    stages: Stages


@dataclass(frozen=True, slots=True)
class Work:
    """What a run is about."""

    name: str
    """The source's."""
    lane: Lane
    feed: Feed
    trigger: str
    supervise: Callable[[], StopReason | None] | None = None
    """Asked first, and then once a second, in a thread: why to stop?"""
    due_at: datetime | None = None
    """When the schedule wanted it."""
    claims: bool = True
    """False for a run that sends nothing: chunks of its lane are left to others."""
    version: str | None = None
    """The model version that is wanted: the first answer of another one stops the run, and is not
    kept. None: whichever there is."""
