"""One run of one lane, readable as its stages:

    pull -> (claim) -> send -> judge -> record

Stages are tasks joined by bounded queues: a slow one holds back those before it, up to the source.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence

from worker import crashpoint
from worker.errors import DatabaseUnavailable, first_of
from worker.log import get_logger
from worker.pipeline.circuit import CircuitState
from worker.pipeline.feed import Batch
from worker.pipeline.hand import Hand
from worker.pipeline.judge import release
from worker.pipeline.settlements import SettlementQueue
from worker.pipeline.work import Parts, Work
from worker.ports import Observer, Span
from worker.records import (
    Answer,
    Chunk,
    Failure,
    FailureKind,
    Lease,
    Outcome,
    Settlement,
    SettlementKind,
)
from worker.stages import Stage
from worker.states import Counters, StopReason

log = get_logger(__name__)

READY_CHUNKS = 128
"""Chunks that wait between ingest and fan-out: enough to keep 64 calls busy over a commit."""

CLAIM_AT_LEAST = 4

LOOK_EVERY_S = 1.0
"""How often a run looks for chunks that others left behind."""


class Run:
    """Takes what its feed gives, sees every chunk of its lane to its end, and returns."""

    def __init__(self, parts: Parts, work: Work, run_id: int, observer: Observer) -> None:
        self.counters = Counters()
        self.stop_reason: StopReason | None = None
        self.failure: Failure | None = None
        """The last call that failed for other reasons than its texts."""
        self._parts = parts
        self._feed = work.feed
        self._source = work.name
        self._lane = work.lane
        self._run_id = run_id
        self._observer = observer
        self._supervise = work.supervise
        self._version = work.version
        self._claims = work.claims
        self._bytes_read = 0
        self._hand = Hand()
        self._ready: asyncio.Queue[Lease] = asyncio.Queue(READY_CHUNKS)
        self._settlements = SettlementQueue(lambda: parts.fanout.under_way)
        self._pulled = asyncio.Event()
        self._changed = asyncio.Event()
        self._look_at = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    def stop(self, reason: StopReason = StopReason.SIGNAL) -> None:
        """Stop claiming and pulling; let what is under way finish, give the rest back."""
        self.stop_reason = self.stop_reason or reason
        self._stopping.set()
        self._changed.set()

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    async def execute(self) -> None:
        """Run to the end. Raises DatabaseUnavailable, CursorMoved and TakenOver; what is not
        settled then comes back by lease."""
        if self._supervise and (reason := await asyncio.to_thread(self._supervise)):
            self.stop(reason)
            return
        try:
            async with asyncio.TaskGroup() as group:
                record = group.create_task(self._record())
                renew = group.create_task(self._hand.keep(self._renew, self._parts.lease_s / 3))
                send = group.create_task(self._send_all(group))
                pull = group.create_task(self._pull())
                watch = group.create_task(self._watch())
                await self._claim_until_done()
                if self.stopped:
                    pull.cancel()  # it may wait for a source that hangs
                await asyncio.wait({pull})
                # After the grace time nobody waits for calls under way: their leases end.
                for task in (send, renew, watch, *self._calls):
                    task.cancel()
                await self._settlements.end()
                await record
        except ExceptionGroup as errors:
            raise first_of(errors) from errors

    # -- pull ------------------------------------------------------------------------------

    async def _pull(self) -> None:
        try:
            async with contextlib.aclosing(self._feed.batches(self._run_id)) as batches:
                while batch := await self._read(batches):
                    self._bytes_read += batch.bytes_read
                    self._count(batch.changes)
                    await self._take(batch.leases)
                    if self.stopped:
                        break
        finally:
            self._pulled.set()
            self._changed.set()

    async def _read(self, batches: AsyncGenerator[Batch, None]) -> Batch | None:
        with self._parts.stages.under_way(Stage.READ, self._source):
            return await anext(batches, None)

    # -- claim -----------------------------------------------------------------------------

    async def _claim_until_done(self) -> None:
        """Take up chunks that come back (retries, splits, leases of the dead) until the source
        is pulled, nothing is in hand and nothing will be due without the Lambda's return."""
        while not self.stopped:
            self._changed.clear()
            if self._claims and time.monotonic() >= self._look_at:
                await self._claim()
            # After a look too: what changed last may have done so just before `clear`.
            idle = self._pulled.is_set() and not self._hand
            if idle and (not self._claims or await self._nothing_is_due()):
                return
            await self._wait(max(0.0, self._look_at - time.monotonic()))
        await self._drain()

    async def _claim(self) -> None:
        """Look for due chunks; looking costs a transaction, so an empty look is not repeated
        until something should be due."""
        circuit = self._parts.fanout.circuit
        closed = circuit.state is CircuitState.CLOSED
        leases = await asyncio.to_thread(
            self._parts.journal.claim,
            self._lane,
            self._run_id,
            self._room() if closed else 1,
            parked=circuit.probe_due(time.monotonic()),
        )
        if leases:
            crashpoint.reached("claim.committed")
        if len(leases) < CLAIM_AT_LEAST:
            self._look_at = time.monotonic() + LOOK_EVERY_S
        await self._take(leases)

    def _room(self) -> int:
        """How many chunks to claim; a few even while the source fills the queue."""
        return max(CLAIM_AT_LEAST, READY_CHUNKS // 2 - self._ready.qsize())

    async def _nothing_is_due(self) -> bool:
        pending = await asyncio.to_thread(self._parts.journal.pending, self._lane)
        if pending.active_due_in_s is not None:
            self._look_in(min(LOOK_EVERY_S, max(0.01, pending.active_due_in_s)))
        return not pending.active_chunks

    def _look_in(self, seconds: float) -> None:
        self._look_at = min(self._look_at, time.monotonic() + seconds)

    async def _take(self, leases: Sequence[Lease]) -> None:
        self._hand.take(leases)
        for lease in leases:
            await self._ready.put(lease)

    async def _drain(self) -> None:
        """Stopping: calls under way get the grace time, everything else its lease back."""
        deadline = time.monotonic() + self._parts.grace_s
        while self._hand and time.monotonic() < deadline:
            self._changed.clear()
            while not self._ready.empty():
                await self._settlements.put(release(self._ready.get_nowait()))
            await self._wait(0.1)

    async def _wait(self, seconds: float) -> None:
        # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    # -- send and judge --------------------------------------------------------------------

    async def _send_all(self, group: asyncio.TaskGroup) -> None:
        while True:
            lease = await self._ready.get()
            await self._parts.fanout.slot(self._lane)
            call = group.create_task(self._send(lease))
            self._calls.add(call)
            call.add_done_callback(self._returned)

    async def _send(self, lease: Lease) -> None:
        chunk = lease.chunk
        if self.stopped:
            await self._settlements.put(release(lease))
            return
        if not self._hand.holds(lease):
            return  # lost while it waited: its answer would be refused
        if not chunk.items:  # every record of it was rewritten since: nothing to ask
            await self._settlements.put(Settlement(lease, SettlementKind.DONE))
            return
        with self._parts.tracer.span("chunk", _described(chunk)) as span:
            crashpoint.reached("call.before")
            with self._parts.stages.under_way(Stage.CALL, f"run {self._run_id}"):
                outcome = await self._parts.fanout.send(chunk)
            crashpoint.reached("call.answered")
            if not isinstance(outcome, Answer):
                self._note(chunk, outcome, span)
            settlement = self._unwanted(lease, outcome) or await self._parts.judge.settle(
                lease, outcome
            )
            span.note({"sentiment.chunk.became": settlement.kind.value})
        if settlement.kind is SettlementKind.PARK:
            crashpoint.reached("park.judged")
        await self._settlements.put(settlement)

    def _unwanted(self, lease: Lease, outcome: Outcome) -> Settlement | None:
        """The lease, given back, if the answer is of another model version than is wanted."""
        if not isinstance(outcome, Answer) or self._version in (None, outcome.scorer.version):
            return None
        log.warning("version.unwanted", wanted=self._version, found=outcome.scorer.version)
        self.stop(StopReason.VERSION)
        return release(lease, outcome)

    def _note(self, chunk: Chunk, failure: Failure, span: Span) -> None:
        span.failed(failure.code)
        if failure.kind not in (FailureKind.CIRCUIT_OPEN, FailureKind.REJECTED):
            self.failure = failure
        sent = failure.kind is not FailureKind.CIRCUIT_OPEN
        (log.warning if sent else log.debug)(
            "chunk.failed",
            lane=list(self._lane),
            run=self._run_id,
            chunk=chunk.id,
            attempt=chunk.attempts + 1,
            kind=failure.kind.value,
            code=failure.code,
            message=failure.message,
        )

    # -- record ----------------------------------------------------------------------------

    async def _record(self) -> None:
        """Write outcomes, many in one transaction; what settles a lease is never cancelled."""
        while batch := await self._settlements.gather():
            thread = asyncio.to_thread(self._parts.journal.settle, self._run_id, batch)
            settling = asyncio.ensure_future(thread)
            # Where a cancelled run no longer waits for it, nobody asks how it ended.
            settling.add_done_callback(lambda done: done.cancelled() or done.exception())
            changes = await asyncio.shield(settling)
            crashpoint.reached("settle.committed")
            for settlement in batch:
                self._hand.forget(settlement.lease)
                if settlement.kind in (SettlementKind.RETRY, SettlementKind.SPLIT):
                    self._look_in(settlement.after_s)
            self._count(changes)
            self._changed.set()

    async def _watch(self) -> None:
        while self._supervise and not self.stopped:
            with contextlib.suppress(DatabaseUnavailable):  # no news; whoever writes will wait
                if reason := await asyncio.to_thread(self._supervise):
                    self.stop(reason)
            await asyncio.sleep(LOOK_EVERY_S)

    def _renew(self, held: Sequence[Lease]) -> set[int]:
        """Say that the run lives, and extend what it holds."""
        return self._parts.journal.renew(self._run_id, held)

    def _returned(self, call: asyncio.Task[None]) -> None:
        """Also for a call that was cancelled before it began: its slot is given back."""
        self._calls.discard(call)
        self._parts.fanout.release()

    def _count(self, changes: Mapping[str, int]) -> None:
        self.counters.add(changes)
        self._observer.update(self.counters, bytes_read=self._bytes_read)


def _described(chunk: Chunk) -> dict[str, int]:
    return {
        "sentiment.chunk.id": chunk.id,
        "sentiment.chunk.texts": len(chunk.items),
        "sentiment.chunk.attempt": chunk.attempts + 1,
    }
