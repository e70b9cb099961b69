"""Objects that were put into a bucket: files of rows, and recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Self

from worker.records import Page, Position
from worker.sources.files.audio import AudioReader
from worker.sources.files.endings import AUDIO
from worker.sources.files.source import FileSource
from worker.sources.files.storage import Blob
from worker.sources.kinds import Opening
from worker.sources.sqs import SqsSourceConfig
from worker.speech import Transcriber


class ObjectReader:
    """Reads them one by one; the transcriber is opened with the first recording."""

    def __init__(self, config: SqsSourceConfig, opening: Opening, files: FileSource) -> None:
        self._source = config.name
        self._recordings = AudioReader(config.transcription) if config.transcription else None
        self._options = config.transcription
        self._opening = opening
        self._files = files
        self._stack = ExitStack()
        self._transcriber: Transcriber | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, blob: Blob, positions: Mapping[str, Position]) -> Iterator[Page]:
        """Raises SourceUnavailable, ConfigurationError."""
        if self._recordings is None or not self.transcribes(blob):
            yield from self._files.read(blob, positions, is_alone=False)
            return
        position = positions.get(blob.path, {})
        if not self._recordings.is_new(blob, position):
            return
        if page := self._recordings.read(blob, position, self._opened()):
            yield page

    def stop(self) -> None:
        """The run has ended: nothing is paid for any more."""
        if self._recordings:
            self._recordings.is_stopped = True
        if self._transcriber:
            self._transcriber.close()

    def transcribes(self, blob: Blob) -> bool:
        return self._recordings is not None and AUDIO.match(blob.path)

    def _opened(self) -> Transcriber:
        if self._transcriber is None:
            assert self._options
            opened = self._opening.open_transcriber(self._source, self._options)
            self._transcriber = self._stack.enter_context(opened)
        return self._transcriber
