"""Speech to text: the values, and the port of whoever transcribes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from worker.records import Bill

LOCAL = "local"
"""The transcription function on this machine."""

PROVIDER = "transcription"
"""Of a model that transcribes, among those that score: it costs, and has no scores."""

MAX_AWS_BYTES = 4 << 20
"""Of a recording that travels in a call: 6 MB in base64, and room for what is said with it.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LONGEST_S = 24 * 3600.0
"""Of a recording: the function refuses one that says it is longer."""

MAX_LOCAL_BYTES = 64 << 20
"""The same of a call to the function on this machine: two hours of speech as MP3."""


class RecordingRefused(Exception):
    """This recording cannot be transcribed, however often it is tried. The message is for a
    person."""


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
class TranscriptWindow:
    """What was said in a part of a recording."""

    segments: Sequence[Segment]
    until_s: float
    """Where the window ends, from the recording's beginning."""
    is_last: bool
    """There is no more of the recording."""
    language: str | None
    """An ISO 639 code, as it was detected; None where nothing was said."""
    model: str
    version: str
    is_broken_off: bool = False
    """The recording ends here, before it should: something of it is missing."""
    bill: Bill | None = field(default=None, compare=False)
    """What the call cost that brought it; None of what was kept."""


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """How a source's recordings are transcribed, and what of them becomes a record."""

    function: str
    """A name or an ARN, or `LOCAL`."""
    split: Literal["file", "segment"] = "file"
    language: str | None = None
    """None where it is to be detected."""
    timeout_s: float = 900.0
    concurrency: int = 4
    min_confidence: float = 0.5
    """What was transcribed with less goes to quarantine."""

    @property
    def is_local(self) -> bool:
        return self.function == LOCAL

    @property
    def max_content_bytes(self) -> int:
        """Of a recording that travels in the call."""
        return MAX_LOCAL_BYTES if self.is_local else MAX_AWS_BYTES

    def digest(self) -> str:
        """Of what decides which records there are."""
        return f"{self.split}-{self.language or ''}-{self.min_confidence:g}"


class Transcriber(Protocol):
    """Turns recordings into text."""

    def transcribe(self, recording: Recording, from_s: float) -> TranscriptWindow:
        """The window of a recording that begins at `from_s`. Blocks for minutes. Raises
        RecordingRefused, SourceUnavailable, ConfigurationError."""

    def close(self) -> None:
        """Nothing more is asked for, from whichever thread: who waits gets SourceUnavailable."""

    def check(self) -> None:
        """Raises ConfigurationError and SourceUnavailable where the function cannot be called;
        nothing is transcribed, and nothing costs."""


OpenTranscriber = Callable[[str, TranscriptionOptions], AbstractContextManager[Transcriber]]
"""A transcriber for the source of that name, as long as the context lasts. Raises
ConfigurationError."""
