"""What a question is about, and what is counted in its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Self

from worker.store.analytics.scores import Row, ScoreFilter

FEW = 30
"""A group of fewer scored records is marked: its shares are mostly chance."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is about: days (UTC) from `since` on and before `until`."""

    since: date
    until: date
    source: str | None = None
    tag: str | None = None
    """A tag's name; with it a `value`."""
    value: str | None = None

    @property
    def days(self) -> int:
        return (self.until - self.since).days

    @property
    def tag_value(self) -> tuple[str, str] | None:
        return (self.tag, self.value) if self.tag and self.value is not None else None

    def before(self) -> Self:
        """As many days, just before (fewer, where time itself begins)."""
        days = min(self.until - self.since, self.since - date.min)
        return replace(self, since=self.since - days, until=self.since)

    def on(self, **changes: Any) -> Self:
        return replace(self, **changes)

    def records(self, **more: Any) -> ScoreFilter:
        """The same as a filter of records."""
        return ScoreFilter(
            source=self.source,
            tag=self.tag_value,
            since=_midnight(self.since),
            until=_midnight(self.until),
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Records counted. Shares and `net` are of the scored ones: `records` less `unscored`."""

    records: int = 0
    positive: int = 0
    neutral: int = 0
    negative: int = 0
    provisional: int = 0
    """Scored by TextBlob until the model answers."""
    unscored: int = 0
    """Without a label that counts."""
    unsupported: int = 0
    """Of the unscored, those in a language that their scorer does not read."""
    rescored: int = 0
    """By more than one model or version."""
    overridden: int = 0
    """Judged by a person."""
    mean_polarity: float | None = None
    """From -1 to 1; None of none."""
    net: float | None = None
    """Share of positive less share of negative, from -1 to 1."""
    net_low: float | None = None
    """Of its 95 % interval."""
    net_high: float | None = None

    @property
    def scored(self) -> int:
        return self.records - self.unscored

    @property
    def is_few(self) -> bool:
        """Too few scored records for a share to say much."""
        return self.scored < FEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Day(Tally):
    """One day, UTC."""

    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Tally):
    """One source, or one value of a tag."""

    name: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A source's own newest week: `NEWEST_DAYS` days up to its last record."""

    source: str
    since: date
    until: date
    """The day after the last one."""
    days: int
    """Those of the week that have records."""
    now: Tally
    before: Tally
    """Of the week before that."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Records whose polarity is from `low` on, and below `high`."""

    low: float
    high: float
    final: int
    provisional: int


@dataclass(frozen=True, slots=True)
class Whole:
    """One record with everything that was ever said of it, the newest first."""

    record: Row
    scores: Sequence[Row]
    revisions: Sequence[Row]
    overrides: Sequence[Row]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
