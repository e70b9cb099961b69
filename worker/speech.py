"""What is heard in recordings: the values, and the port of whoever hears it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from worker.records import Bill

LOCAL = "local"
"""The transcription function on this machine."""

PROVIDER = "transcription"
"""Of a model that hears, among those that score: it costs, and has no scores."""


class AudioRefused(Exception):
    """This recording cannot be heard, however often it is tried. The message is for a person."""


class Segment(NamedTuple):
    """What was said without a pause."""

    start_s: float
    end_s: float
    text: str
    confidence: float
    """In [0, 1], as the model says it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording, as it is now."""

    path: str
    digest: bytes
    """16 bytes of BLAKE2b over its content."""
    content: bytes | None = None
    """None of an object of S3: the function reads it there."""
    etag: str = ""
    """Of such an object: the content that is meant."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said in a window of a recording."""

    segments: Sequence[Segment]
    until_s: float
    """Where the window ends, from the recording's beginning."""
    is_done: bool
    """There is no more of the recording."""
    language: str | None
    """An ISO 639 code, as it was detected; None where nothing was said."""
    model: str
    version: str
    bill: Bill | None = field(default=None, compare=False)
    """What the call cost that brought it; None of what was kept."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """How a source's recordings are heard, and what of them becomes a record."""

    function: str
    """A name or an ARN, or `LOCAL`."""
    split: Literal["file", "segment"] = "file"
    language: str | None = None
    """None where it is to be detected."""
    timeout_s: float = 900.0
    at_once: int = 4
    least_confidence: float = 0.4
    """What was heard with less goes to quarantine."""

    @property
    def is_local(self) -> bool:
        return self.function == LOCAL

    def digest(self) -> str:
        """Of what decides which records there are."""
        return f"{self.split}-{self.language or ''}-{self.least_confidence:g}"


class Transcriber(Protocol):
    """Hears recordings."""

    def hear(self, recording: Recording, from_s: float) -> Heard:
        """The window of a recording that begins at `from_s`. Blocks for minutes. Raises
        AudioRefused, SourceUnavailable, ConfigurationError."""

    def check(self) -> None:
        """Raises ConfigurationError and SourceUnavailable where the function cannot be called;
        nothing is heard, and nothing costs."""


Hiring = Callable[[str, Hearing], AbstractContextManager[Transcriber]]
"""A transcriber for the source of that name, as long as the context lasts. Raises
ConfigurationError."""
