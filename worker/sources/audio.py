"""Audio: recordings in files, folders and S3 places, whose speech becomes records."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from worker.sources.config import Duration, SourceConfig
from worker.sources.file import FilePlace
from worker.sources.kinds import Kind, Opening
from worker.speech import TranscriptionOptions

if TYPE_CHECKING:
    from worker.sources.files.audio import AudioSource

COLUMNS = ("id", "text", "time", "author", "language", "tags", "time_format")
"""What is said of rows: a recording has none."""


class TranscriptionConfig(SourceConfig):
    """Who transcribes recordings, and what of them becomes a record."""

    function: str | None = Field(default=None, min_length=1, max_length=200)
    """The transcription function: a name, an ARN, or `local` for the one on this machine."""
    split: Literal["file", "segment"] = "file"
    """What becomes a record: a recording, or what was said without a pause."""
    spoken_language: str | None = Field(default=None, pattern="^[a-z]{2,3}$")
    """The language of the recordings; else it is detected."""
    timeout: Duration = Field(
        default=timedelta(seconds=900), ge=timedelta(seconds=1), le=timedelta(seconds=900)
    )
    """The function's, 1 to 900 seconds."""
    min_confidence: float = Field(default=0.5, ge=0, le=1)
    """In [0, 1]; what was transcribed with less goes to quarantine."""

    @property
    def transcription(self) -> TranscriptionOptions | None:
        """None where no function is named: nothing is transcribed."""
        if self.function is None:
            return None
        return TranscriptionOptions(
            self.function,
            split=self.split,
            language=self.spoken_language,
            timeout_s=self.timeout.total_seconds(),
            min_confidence=self.min_confidence,
        )


class AudioSourceConfig(FilePlace, TranscriptionConfig):
    kind: Literal["audio"] = "audio"
    function: str = Field(min_length=1, max_length=200)
    concurrency: int = Field(default=4, ge=1, le=100)
    """So many recordings are transcribed at the same time; by the local function one."""

    @model_validator(mode="after")
    def _has_no_columns(self) -> AudioSourceConfig:
        if said := sorted(self.model_fields_set & set(COLUMNS)):
            raise ValueError(f"{said[0]} is of rows with columns, and a recording has none")
        return self


def open_source(config: AudioSourceConfig, opening: Opening) -> AudioSource:
    from worker.sources.files.audio import AudioSource  # slow to import

    assert config.transcription
    options = replace(config.transcription, concurrency=config.concurrency)
    may_be_empty = config.empty == "warn"
    return AudioSource(config.name, config.locations, options, opening, may_be_empty=may_be_empty)


KIND = Kind("audio", "speech in recordings: files, folders and S3 places", AudioSourceConfig,
            open_source)  # fmt: skip
