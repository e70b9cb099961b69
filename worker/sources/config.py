"""What the configuration of every source may say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from worker.durations import parse_duration
from worker.schedule import DEFAULT_EVERY, LONGEST, Schedule, days_off_of, require_cron_line
from worker.sources.rows.layout import Layout


def _zone(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone; write it like UTC or Europe/Berlin") from None


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _days_off(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ValueError('write a list, like ["2026-12-25", "sat"]')
    return days_off_of(map(str, value))


LAYOUT = tuple(Layout.__dataclass_fields__)
"""What of a configuration says which column is what."""

Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    """Unknown keys are an error."""


class Scan(NamedTuple):
    """How ids are compared; see `worker.ports.Enumerable`."""

    every: timedelta | None = None
    """None: only when somebody asks for it."""
    most: float = 0.2
    """Of all records the share that may be gone at once."""


class SourceConfig(Strict):
    """A kind of source says more in its own module."""

    kind: str
    name: str = Field(min_length=1, max_length=200)
    schedule: str | None = None
    every: Duration | None = None
    days_off: Annotated[frozenset[date | str], BeforeValidator(_days_off)] = Field(
        default=frozenset(), alias="except"
    )
    """Dates, and weekdays by their three letters, on which it is not read."""
    jitter: Duration = Field(default=timedelta(), ge=timedelta())
    """A run of the schedule begins at random within this time of when it is due."""
    pause_after: int | None = Field(default=None, ge=1)
    """Runs in a row that fail, after which the source rests until somebody resumes it."""
    id: str | None = None
    text: str | None = None
    time: str | None = None
    author: str | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    timezone: Annotated[tzinfo | None, BeforeValidator(_zone)] = None
    """Of its schedule, and of times that have no zone."""
    time_format: str | None = None

    @model_validator(mode="after")
    def _one_rhythm(self) -> SourceConfig:
        if self.schedule and self.every:
            raise ValueError("give schedule or every, not both")
        if self.every is not None and self.every < timedelta(seconds=1):
            raise ValueError("every must be 1s or more")
        if self.every is not None and self.every > LONGEST:
            raise ValueError(f"every must be {LONGEST.days}d or less")
        if self.name.startswith("("):
            raise ValueError("a name that begins with a parenthesis is the worker's own")
        if not self.name.isprintable():
            raise ValueError("the name holds characters that cannot be printed")
        return self

    @model_validator(mode="after")
    def _comes_around(self) -> SourceConfig:
        if self.schedule is not None:
            require_cron_line(self.schedule)
        times = self.when.next(datetime.now(UTC), 10)
        if self.jitter >= min(later - at for at, later in pairwise(times)):
            raise ValueError("jitter must be shorter than the time between two runs")
        return self

    @property
    def when(self) -> Schedule:
        zone = self.timezone or UTC
        return Schedule(self.schedule, self.every or DEFAULT_EVERY, zone, self.days_off)

    @classmethod
    def setting_names(cls) -> list[str]:
        """What a configuration of this kind may say, as it is written there."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @property
    def layout(self) -> Layout:
        return Layout(**{name: getattr(self, name) for name in LAYOUT})

    @property
    def scan(self) -> Scan:
        """When and how it is looked for records that the source has no more."""
        return Scan()

    @property
    def listens(self) -> bool:
        """Does `serve` wait at it, instead of asking at its times? Then it is a
        `worker.ports.AcknowledgedSource`."""
        return False

    @property
    def is_at_aws(self) -> bool:
        """Does reading it take AWS's credentials?"""
        return False
