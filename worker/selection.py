"""What a backfill is: a selection of stored records, planned to the last chunk, and its cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from worker import chunk
from worker.cost import Estimate
from worker.ports import Planner

WINDOW_RECORDS = 5_000
"""Records of a window: a checkpoint every few seconds, a row of 120 KB."""


class Only(StrEnum):
    """Which records of the period are meant."""

    ALL = "all"
    FAILED = "failed"
    """Those that the model could not score: they are in quarantine."""
    PROVISIONAL = "provisional"
    """Those that have TextBlob's score and none by a model."""
    MISSING = "missing"
    """Those without a score by the wanted model version."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records a backfill is about; None means any."""

    source: str
    since: datetime | None = None
    """By publication, else arrival; `until` is not included."""
    until: datetime | None = None
    only: Only = Only.ALL
    label: str | None = None
    """Of the current score, as are the next two."""
    scorer: str | None = None
    model_version: str | None = None
    contains: str | None = None
    """Of the text."""
    target_version: str | None = None
    """The model version that is wanted; the function is asked for it before each run."""
    limit: int | None = None
    """The oldest so many."""

    def as_json(self) -> dict[str, Any]:
        found = asdict(self) | {"only": self.only.value}
        for name in ("since", "until"):
            moment = found[name]
            found[name] = moment.isoformat() if moment else None
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Selection:
        moments = {
            name: datetime.fromisoformat(found[name]) if found[name] else None
            for name in ("since", "until")
        }
        return cls(**{**found, **moments, "only": Only(found["only"])})


@dataclass(frozen=True, slots=True)
class Plan:
    """The exact work of a selection, on the day that it was planned."""

    records: int
    distinct_texts: int
    """As they are sent: a text that comes again within a window is sent once."""
    chunks: int
    already_scored: int
    """Of the records, those that have a score by the wanted model version."""
    estimate: Estimate
    windows: int = 0

    def is_worth(self, max_cost: float | None) -> bool:
        """Is there something to do, for no more than `max_cost` US dollars?"""
        return self.records > 0 and not self.is_too_dear(max_cost)

    def is_too_dear(self, max_cost: float | None) -> bool:
        return max_cost is not None and self.estimate.cost_usd > max_cost


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """How a plan cuts its chunks; kept with it, so that whoever applies it cuts the same."""

    chunk_texts: int
    chunk_bytes: int

    def planner(self) -> Planner:
        return partial(chunk.plan, max_items=self.chunk_texts, max_bytes=self.chunk_bytes)
