"""Where a run's chunks come from: a source that is pulled, or the windows of a backfill.

Each gives batches that are in the journal already, so a run that dies loses nothing of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from worker import crashpoint
from worker.errors import WorkerError
from worker.ports import AcknowledgedSource, Journal, Planner, Source
from worker.records import (
    BEFORE,
    IDENTITY,
    NOTHING_AGAIN,
    Lane,
    Lease,
    Page,
    Position,
    Redrive,
    Remark,
)
from worker.threads import in_a_thread, to_its_end

GATHERED_ROWS = 1_000
"""Of small pages together, in one transaction."""

GATHERED_PAGES = 500

GATHERED_CHARS = 4 * 1024 * 1024
"""Of their texts: memory does not grow with the size of rows."""

SOON_S = 0.05
"""How long to wait for another small page before storing what has been gathered."""


class Batch(NamedTuple):
    """What one transaction put into the journal."""

    leases: Sequence[Lease]
    changes: Mapping[str, int]
    """What it adds to the run's counters."""
    bytes_read: int = 0


class Feed(Protocol):
    """Gives a run its chunks, once."""

    error: WorkerError | None
    """Why it ended early; what it gave before is stored, and worked off."""

    @property
    def remark(self) -> Remark | None:
        """Of its source's reading."""

    def batches(self, run_id: int) -> AsyncGenerator[Batch, None]:
        """Close it (`contextlib.aclosing`) when it is left before its end."""


class SourceFeed:
    """Pulls a source from its cursors on, and what is to be tried again with it."""

    def __init__(
        self,
        journal: Journal,
        planner: Planner,
        source_id: int,
        source: Source | None,
        redrive: Redrive = NOTHING_AGAIN,
        expect: Callable[[], None] = lambda: None,
    ) -> None:
        """`source` None reads nothing: only the redrive's records are scored anew. `expect` is
        called when a page with records arrives, so that the scorer starts while it is stored."""
        self.error: WorkerError | None = None
        self._journal = journal
        self._planner = planner
        self._source_id = source_id
        self._source = source
        self._redrive = redrive
        self._expect = expect

    @property
    def remark(self) -> Remark | None:
        return self._source.remark if self._source else None

    async def batches(self, run_id: int) -> AsyncGenerator[Batch, None]:
        if self._redrive.record_ids:
            ids = self._redrive.record_ids
            await asyncio.to_thread(self._journal.requeue, self._source_id, run_id, ids)
        if self._source is None:
            return
        known = await asyncio.to_thread(self._journal.positions, self._source_id)
        versions = {partition: version for partition, (_, version) in known.items()}
        again = self._redrive.partitions
        positions = {
            p: _from_the_beginning(position) if p in again else position
            for p, (position, _) in known.items()
        }
        pages = self._source.pages(positions)
        # One page is read ahead while the one before is being stored.
        ahead = in_a_thread(partial(next, pages, None))
        gathered = Gathered()
        try:
            while page := await self._read(ahead):
                ahead = in_a_thread(partial(next, pages, None))
                if page.records:
                    self._expect()
                if not gathered.fits(page):
                    yield await self._ingest(run_id, gathered.take(), versions)
                gathered.add(page)
                if gathered.is_full or not await _comes_soon(ahead):
                    yield await self._ingest(run_id, gathered.take(), versions)
            if gathered:
                yield await self._ingest(run_id, gathered.take(), versions)
        finally:
            # Where a stop cancelled us, the thread that reads ahead ends by itself.
            if not ahead.done():
                ahead.add_done_callback(lambda done: done.cancelled() or done.exception())
            _stop(self._source)
            _close(pages)

    async def _read(self, ahead: asyncio.Future[Page | None]) -> Page | None:
        try:
            return await asyncio.shield(ahead)
        except WorkerError as error:
            self.error = error
            return None

    async def _ingest(self, run_id: int, pages: Sequence[Page], versions: dict[str, int]) -> Batch:
        crashpoint.reached("page.read")
        known = [(page, versions.get(page.partition, 0)) for page in pages]
        about = (self._source_id, run_id, known, self._planner)
        leases, changes = await to_its_end(partial(self._journal.ingest, *about))
        crashpoint.reached("ingest.committed")
        versions |= {page.partition: version + 1 for page, version in known}
        if isinstance(self._source, AcknowledgedSource):
            await to_its_end(partial(self._source.acknowledge, pages))
        return Batch(leases, changes, sum(page.bytes_read for page in pages))


class Gathered:
    """Small pages that are stored in one transaction, so that their records share chunks: a
    thousand files of one row each are not a thousand calls.

    Pages of one partition, or with an id in common, are never gathered together: the second would
    overwrite the first without a history.
    """

    def __init__(self) -> None:
        self._pages: list[Page] = []
        self._ids: set[str] = set()
        self._partitions: set[str] = set()
        self._rows = self._chars = 0

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def is_full(self) -> bool:
        return (
            self._rows >= GATHERED_ROWS
            or self._chars >= GATHERED_CHARS
            or len(self._pages) >= GATHERED_PAGES
        )

    def fits(self, page: Page) -> bool:
        if not self._pages:
            return True
        rows = self._rows + _rows(page)
        apart = self._ids.isdisjoint(record.external_id for record in page.records)
        small = rows <= GATHERED_ROWS and self._chars + _chars(page) <= GATHERED_CHARS
        return small and apart and page.partition not in self._partitions

    def add(self, page: Page) -> None:
        self._pages.append(page)
        self._ids.update(record.external_id for record in page.records)
        self._partitions.add(page.partition)
        self._rows += _rows(page)
        self._chars += _chars(page)

    def take(self) -> list[Page]:
        taken = self._pages
        self._pages, self._ids, self._partitions = [], set(), set()
        self._rows = self._chars = 0
        return taken


def _rows(page: Page) -> int:
    return len(page.records) + len(page.refusals) + len(page.gone)


def _chars(page: Page) -> int:
    return sum(len(record.text) for record in page.records)


class WindowFeed:
    """Opens the windows of a backfill's plan, one after another; an opened one is a checkpoint.

    Not into an outage, where their chunks would only be parked: after the first window, which may
    be the probe, the rest waits for a closed circuit and another run.
    """

    error: WorkerError | None = None
    remark: Remark | None = None

    def __init__(
        self, journal: Journal, planner: Planner, lane: Lane, is_closed: Callable[[], bool]
    ) -> None:
        """`is_closed`: may calls be made as usual?"""
        self._journal = journal
        self._planner = planner
        self._lane = lane
        self._is_closed = is_closed

    async def batches(self, run_id: int) -> AsyncGenerator[Batch, None]:
        step = partial(self._journal.open_window, self._lane, run_id, self._planner)
        while opened := await to_its_end(step):
            yield Batch(*opened)
            if not self._is_closed():
                return


def _from_the_beginning(position: Position) -> Position:
    """What a source is told of a partition that is read again: its records keep their ids."""
    again: dict[str, Any] = {BEFORE: position}
    return again | ({IDENTITY: position[IDENTITY]} if IDENTITY in position else {})


async def _comes_soon(page: asyncio.Future[Page | None]) -> bool:
    done, _ = await asyncio.wait({page}, timeout=SOON_S)
    return bool(done)


def _stop(source: Source) -> None:
    """A reading that blocks in its thread cannot be closed from here: one that pays for what it
    reads has a way to be told."""
    stop = getattr(source, "stop", None)
    if stop:
        stop()


def _close(pages: Iterator[Page]) -> None:
    close = getattr(pages, "close", None)
    if close:
        with contextlib.suppress(ValueError):  # still reading in its thread, which closes it
            close()
