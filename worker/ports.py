"""The ports: what the core asks of the world, as protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, runtime_checkable

from worker.records import (
    Chunk,
    Item,
    Lane,
    Lease,
    Opinion,
    Outcome,
    Page,
    Pending,
    Position,
    Remark,
    Settlement,
)
from worker.states import Counters

Planner = Callable[[Sequence[Item]], Iterator[tuple[Item, ...]]]
"""Cuts distinct texts into chunks; see `worker.chunk.plan`."""


class Source(Protocol):
    """Somewhere records keep arriving. Reading has no effect on it."""

    name: str
    remark: Remark | None
    """What a person should know about the last reading."""

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        """Rows after `positions` (by partition), a page at a time, in the source's order.

        Streams: memory is bounded by a page. Raises SourceUnavailable when the source cannot
        be read, ConfigurationError when it can but not as it is configured.
        """

    def size(self) -> int | None:
        """About how many bytes a full read takes; None if the source cannot say."""


@runtime_checkable
class Enumerable(Source, Protocol):
    """A source that can say which records it has, without their texts."""

    def ids(self) -> Iterator[Sequence[str]]:
        """All of them, in any order, some thousands at a time. Raises as `pages`."""


@runtime_checkable
class CostlyToRead(Source, Protocol):
    """A source that costs something to read: a look takes what it says there is instead."""

    def backlog(self) -> str:
        """For a person: how much there is to read. Takes nothing. Raises as `pages`."""


@runtime_checkable
class AcknowledgedSource(CostlyToRead, Protocol):
    """A source that hands records over, and must hear that they are stored: a queue."""

    def acknowledge(self, pages: Sequence[Page]) -> None:
        """These are committed. Called after each commit, also after the last page was read."""

    def wait(self, seconds: float) -> bool:
        """Blocks until there is something to read, at most so long; was there? Raises as
        `pages`."""

    def release(self) -> None:
        """Give back what `wait` took: no run will read it now."""


class Scorer(Protocol):
    """Gives opinions on the texts of a chunk."""

    async def score(self, chunk: Chunk) -> Outcome:
        """One attempt. Never raises for what the scorer or the network did."""

    async def prepare(self) -> None:
        """Calls will come: do now what the first of them would wait for. May be called again."""

    async def close(self) -> None: ...


class Stopgap(Protocol):
    """The fallback: gives an opinion without the Lambda, or None where it cannot say."""

    async def opinions(self, texts: Sequence[str]) -> list[Opinion | None]: ...

    async def close(self) -> None: ...


class Journal(Protocol):
    """The durable truth: records, chunks, leases, fences, scores, cursors. Blocking calls.

    Every method is one transaction, safe to call again after DatabaseUnavailable.
    """

    def positions(self, source_id: int) -> dict[str, tuple[Position, int]]:
        """Cursor and its version, by partition."""

    def ingest(
        self,
        source_id: int,
        run_id: int,
        pages: Sequence[tuple[Page, int]],
        planner: Planner,
    ) -> tuple[list[Lease], dict[str, int]]:
        """Store pages, each with the version of its cursor, their chunks (leased to this worker)
        and their cursors, in one commit.

        Returns the leases and what to add to the run's counters. Raises CursorMoved when a
        cursor is no longer at its version.
        """

    def now(self) -> datetime:
        """The database's clock, which all of its times are by."""

    def compare_ids(
        self,
        source_id: int,
        run_id: int,
        ids: Iterable[Sequence[str]],
        before: datetime,
        most: float,
    ) -> dict[str, int]:
        """Mark the records as gone that were stored `before` and are not among `ids`, and those as
        back that were gone and are; returns what that adds to the run's counters. Raises
        SourceUnavailable, and marks none, where more than the share `most` of all is missing."""

    def open_window(
        self, lane: Lane, run_id: int, planner: Planner
    ) -> tuple[list[Lease], dict[str, int]] | None:
        """Make the chunks of a backfill's next window; None if there is none to be opened."""

    def claim(self, lane: Lane, run_id: int, count: int, *, parked: bool) -> list[Lease]:
        """Lease up to `count` chunks that are due; parked ones only if `parked`
        or overdue for a provisional score."""

    def requeue(self, source_id: int, run_id: int, record_ids: Sequence[int]) -> None:
        """Make chunks of records that should be scored anew."""

    def renew(self, run_id: int, leases: Sequence[Lease]) -> set[int]:
        """Say that the run lives and extend its leases; returns the ids of those that are no
        longer ours. Raises TakenOver when another process has taken the run's place."""

    def settle(self, run_id: int, settlements: Sequence[Settlement]) -> dict[str, int]:
        """Write what became of leases; returns what that adds to the run's counters."""

    def pending(self, lane: Lane) -> Pending:
        """What is still open."""


class Ledger(Protocol):
    """Sources and runs, and the lock of a lane."""

    def source_id(self, name: str, kind: str) -> int: ...

    def exclusive(self, lane: Lane, name: str) -> AbstractContextManager[None]:
        """Raises SourceBusy."""

    def start(self, lane: Lane, trigger: str, due_at: datetime | None = None) -> int: ...

    def proven_concurrency(self, lane: Lane) -> int | None:
        """With how many calls at once a run may begin."""

    def finish(
        self, run_id: int, state: str, error: str | None, concurrency: int | None = None
    ) -> Counters: ...

    def roll_up(self) -> None:
        """Bring what analysts see by day up to date with what runs have changed."""


class Span(Protocol):
    """A piece of work under way."""

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits; None where nothing is traced."""

    @property
    def trace_header(self) -> str | None:
        """What the Lambda is told, so that its own spans become this one's children."""

    def note(self, attributes: Mapping[str, str | int | float | bool]) -> None: ...

    def failed(self, code: str) -> None: ...


class Tracer(Protocol):
    """Follows a record's way from outside; `worker.tracing`."""

    def span(
        self, name: str, attributes: Mapping[str, str | int | float | bool], *, calls: bool = False
    ) -> AbstractContextManager[Span]:
        """A child of the span around it; `calls` for one that waits for another service."""

    def close(self) -> None: ...


class Observer(Protocol):
    """Told how a run fares; draws bars, or nothing."""

    def update(self, counters: Counters, *, bytes_read: int) -> None: ...


class Silent:
    """An `Observer` for where nobody watches."""

    def update(self, counters: Counters, *, bytes_read: int) -> None:
        pass
