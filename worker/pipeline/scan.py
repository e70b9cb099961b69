"""Records that their source has no more: all the ids that it has, beside those that are stored.

The ids are first written to a file of this machine, so that no transaction waits for the source.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from functools import partial
from typing import IO

from worker.errors import WorkerError
from worker.pipeline.feed import Batch
from worker.ports import Enumerable, Journal
from worker.records import Remark
from worker.threads import in_a_thread, to_its_end


class Ids:
    """Ids in a temporary file; can be gone through again and again."""

    def __init__(self, file: IO[str], batches: Iterator[Sequence[str]]) -> None:
        self._file = file
        for batch in batches:
            file.write(json.dumps(list(batch)) + "\n")

    def __iter__(self) -> Iterator[Sequence[str]]:
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)


class ScanFeed:
    """`worker.pipeline.feed.Feed` that brings no chunks: it marks what is gone."""

    def __init__(self, journal: Journal, source_id: int, source: Enumerable, most: float) -> None:
        """`most`: of all records the share that may be gone at once; more is taken for an error."""
        self.error: WorkerError | None = None
        self.remark: Remark | None = None
        self._journal = journal
        self._source_id = source_id
        self._source = source
        self._most = most

    async def batches(self, run_id: int) -> AsyncGenerator[Batch, None]:
        began = await asyncio.to_thread(self._journal.now)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            try:
                ids = await in_a_thread(partial(Ids, file, self._source.ids()))
                changes = await to_its_end(
                    partial(
                        self._journal.compare_ids,
                        self._source_id,
                        run_id,
                        ids,
                        began,
                        self._most,
                    )
                )
            except WorkerError as error:
                self.error = error
                return
        yield Batch((), changes)
