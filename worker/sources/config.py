"""What the configuration of every source may say."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from worker.durations import parse_duration
from worker.records import Layout


def _zone(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone; write it like UTC or Europe/Berlin") from None


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


LAYOUT = tuple(Layout.__dataclass_fields__)
"""What of a configuration says which column is what."""

Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    """Unknown keys are an error."""


class SourceConfig(Strict):
    """A kind of source says more in its own module."""

    kind: str
    name: str = Field(min_length=1, max_length=200)
    schedule: str | None = None
    every: Duration | None = None
    id: str | None = None
    text: str | None = None
    time: str | None = None
    author: str | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    timezone: Annotated[tzinfo | None, BeforeValidator(_zone)] = None
    time_format: str | None = None

    @model_validator(mode="after")
    def _one_rhythm(self) -> SourceConfig:
        if self.schedule and self.every:
            raise ValueError("give schedule or every, not both")
        if self.every is not None and self.every < timedelta(seconds=1):
            raise ValueError("every must be 1s or more")
        if self.name.startswith("("):
            raise ValueError("a name that begins with a parenthesis is the worker's own")
        if not self.name.isprintable():
            raise ValueError("the name holds characters that cannot be printed")
        if self.schedule is not None:
            from worker.cron import cron_trigger  # APScheduler is slow to import

            cron_trigger(self.schedule)
        return self

    @property
    def layout(self) -> Layout:
        return Layout(**{name: getattr(self, name) for name in LAYOUT})

    @property
    def is_at_aws(self) -> bool:
        """Does reading it take AWS's credentials?"""
        return False
