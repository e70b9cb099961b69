"""Objects that were put into a bucket: files of rows, and recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Self

from worker.records import Page, Position
from worker.sources.files.audio import AUDIO, AudioReader
from worker.sources.files.source import FileSource
from worker.sources.files.storage import Blob
from worker.sources.kinds import Opening
from worker.sources.sqs import SqsSourceConfig
from worker.speech import Transcriber


class ObjectReader:
    """Reads them one by one; who hears recordings is called with the first of them."""

    def __init__(self, config: SqsSourceConfig, opening: Opening, files: FileSource) -> None:
        self._source = config.name
        self._hearing = config.hearing
        self._opening = opening
        self._files = files
        self._stack = ExitStack()
        self._ears: Transcriber | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, blob: Blob, positions: Mapping[str, Position]) -> Iterator[Page]:
        """Raises SourceUnavailable."""
        if self._hearing is None or not AUDIO.fit(blob.path):
            yield from self._files.read(blob, positions, is_alone=False)
            return
        reader, position = AudioReader(self._hearing), positions.get(blob.path, {})
        if not reader.is_new(blob, position):
            return
        if self._ears is None:
            self._ears = self._stack.enter_context(self._opening.hire(self._source, self._hearing))
        if page := reader.read(blob, position, self._ears):
            yield page
