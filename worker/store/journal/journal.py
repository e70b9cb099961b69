"""The journal: every step of a record's way that must survive a crash is one transaction.

The steps are in `ingest`, `leases` and `settle`; here each gets its transaction, and is called
again while the database is away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Engine

from worker.ports import Planner
from worker.records import Lane, Lease, Page, Pending, Position, ScorerId, Settlement
from worker.stages import Stage, Stages
from worker.store import database, driver
from worker.store.driver import Cursor
from worker.store.journal import gone, ingest, leases, settle, windows
from worker.store.journal.chunks import Claimant, first_fence
from worker.store.ledger import cursors, holds

T = TypeVar("T")


class PostgresJournal:
    """`worker.ports.Journal` over PostgreSQL."""

    def __init__(
        self,
        engine: Engine,
        *,
        worker: str,
        lease_s: float,
        patience_s: float,
        parked_s: float = 30.0,
        overdue_s: float | None = None,
        stages: Stages | None = None,
        fences: Callable[[], int] = first_fence,
    ) -> None:
        """`parked_s` is how long a parked chunk rests; `overdue_s` the age from which one
        without any score is handed out even while the Lambda is away (None: never)."""
        self._engine = engine
        self._claimant = Claimant(worker, lease_s)
        self._patience_s = patience_s
        self._parked_s = parked_s
        self._overdue_s = overdue_s
        self._stages = stages or Stages()
        self._fences = fences
        self._scorer_ids: dict[ScorerId, int] = {}

    def positions(self, source_id: int) -> dict[str, tuple[Position, int]]:
        """Cursor and its version, by partition; what is in a cursor, `cursors.KNOWN` says."""

        def read(cur: Cursor) -> dict[str, tuple[Position, int]]:
            found = driver.rows(cur, cursors.KNOWN, {"source": source_id})
            return {partition: (position, version) for partition, position, version in found}

        return self._transaction(read, "reading cursors")

    def ingest(
        self, source_id: int, run_id: int, pages: Sequence[tuple[Page, int]], planner: Planner
    ) -> tuple[list[Lease], dict[str, int]]:
        """Store pages, their chunks (leased to this worker) and their cursors, in one commit.

        Each page comes with the version of its cursor (0: it does not exist yet); they are of
        different partitions, and no id is in two of them. Returns the leases and what the pages
        add to the run's counters. Raises CursorMoved when a cursor is no longer at its version.
        """
        fence = self._fences()  # the same where it is done again

        def write(cur: Cursor) -> tuple[list[Lease], dict[str, int]]:
            if not ingest.move_cursors(cur, source_id, run_id, pages):
                return ingest.adopt(cur, source_id, run_id, pages, self._claimant.worker, fence)
            read = [page for page, _ in pages]
            return ingest.store(cur, source_id, run_id, read, planner, self._claimant, fence)

        return self._transaction(write, "storing a page")

    def now(self) -> datetime:
        def asked(cur: Cursor) -> datetime:
            found: datetime = driver.rows(cur, "SELECT now()", ())[0][0]
            return found

        return self._transaction(asked, "asking for the time")

    def compare_ids(
        self,
        source_id: int,
        run_id: int,
        ids: Iterable[Sequence[str]],
        before: datetime,
        most: float,
    ) -> dict[str, int]:
        """Mark records as gone, and as back; see `worker.ports.Journal`."""

        def write(cur: Cursor) -> dict[str, int]:
            return gone.compare(cur, source_id, run_id, ids, before, most)

        return self._transaction(write, "comparing ids")

    def open_window(
        self, lane: Lane, run_id: int, planner: Planner
    ) -> tuple[list[Lease], dict[str, int]] | None:
        """Make the chunks of a backfill's next window, leased to this worker; None after the last
        one, and of a backfill that is not running."""
        fence = self._fences()

        def write(cur: Cursor) -> tuple[list[Lease], dict[str, int]] | None:
            return windows.open_window(cur, lane, run_id, planner, self._claimant, fence)

        return self._transaction(write, "opening a window")

    def claim(self, lane: Lane, run_id: int, count: int, *, parked: bool) -> list[Lease]:
        """Lease up to `count` due chunks, parked ones (they wait for the Lambda) only if asked
        or overdue for a provisional score.

        Records that were rewritten since their chunk was made are left out (`settle` counts them
        as superseded): their newer text has a chunk of its own.
        """

        def write(cur: Cursor) -> list[Lease]:
            return leases.claim(
                cur,
                lane,
                run_id,
                count,
                claimant=self._claimant,
                parked=parked,
                parked_s=self._parked_s,
                overdue_s=self._overdue(lane),
            )

        return self._transaction(write, "claiming chunks")

    def requeue(self, source_id: int, run_id: int, record_ids: Sequence[int]) -> None:
        """Make chunks of records that should be scored anew."""
        self._transaction(
            lambda cur: leases.requeue(cur, source_id, run_id, record_ids), "making chunks"
        )

    def renew(self, run_id: int, held: Sequence[Lease]) -> set[int]:
        """Say that the run lives and extend its leases; returns the ids of those that are no
        longer ours. Raises TakenOver when another process has taken the run's place."""
        lease_s = self._claimant.lease_s

        def write(cur: Cursor) -> set[int]:
            lost = leases.renew(cur, run_id, held, lease_s)
            holds.keep(cur, run_id, lease_s)
            return lost

        return self._transaction(write, "renewing leases")

    def settle(self, run_id: int, settlements: Sequence[Settlement]) -> dict[str, int]:
        """Write what became of leases, all or nothing; refused one by one if a fence moved.

        Returns what this adds to the run's counters. Settling again what this worker settled
        before (its COMMIT arrived, the reply did not) changes nothing.
        """
        for scorer in dict.fromkeys(s.scorer for s in settlements if s.scorer):
            self._learn(scorer)
        return self._transaction(
            lambda cur: settle.settle(cur, run_id, settlements, self._scorer_ids), "writing scores"
        )

    def pending(self, lane: Lane) -> Pending:
        """What is still open of a lane."""
        return self._transaction(
            lambda cur: leases.pending(cur, lane, self._overdue(lane)), "counting what waits"
        )

    def _overdue(self, lane: Lane) -> float | None:
        """A backfill's chunks get no provisional scores: nothing of them is ever overdue."""
        return None if lane.is_backfill else self._overdue_s

    def _learn(self, scorer: ScorerId) -> None:
        if scorer not in self._scorer_ids:
            self._scorer_ids[scorer] = self._transaction(
                lambda cur: settle.register_scorer(cur, scorer), "registering a model"
            )

    def _transaction(self, step: Callable[[Cursor], T], what: str) -> T:
        def once() -> T:
            with (
                self._stages.under_way(Stage.JOURNAL, what),
                database.cursor(self._engine) as cur,
            ):
                return step(cur)

        return database.retrying(once, patience_s=self._patience_s)
