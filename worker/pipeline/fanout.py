"""Bounded, adaptive concurrency over a scorer, shared by lanes. Outcomes, never exceptions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace

from worker.pipeline.circuit import Circuit, CircuitState
from worker.ports import Scorer
from worker.records import Answer, Chunk, Failure, FailureKind, Lane, LaneKind, Outcome


class AdaptiveLimit:
    """How many calls may be under way: additive increase, multiplicative decrease.

    Doubles each round trip until the first throttle (TCP's slow start), then adds one a round
    trip. Calls that were under way when it shrank do not shrink it again: they tell of the
    past. https://www.rfc-editor.org/rfc/rfc5681 (3.1)

    It remembers where it was throttled last, as CUBIC does: around there it feels its way, a
    quarter a round trip; well beyond there the Lambda's limit must have been raised, so it
    grows by a quarter of itself. https://www.rfc-editor.org/rfc/rfc9438 (4.2 to 4.4)
    """

    DECREASE = 0.7
    FEEL = 0.25
    """Around there, the share of a call that is added a round trip; beyond, of the limit."""

    def __init__(self, ceiling: int, *, start: int = 1) -> None:
        self.ceiling = ceiling
        self._limit = float(min(start, ceiling))
        self._is_untried = True
        self._throttled_at: float | None = None
        self._epoch = 0

    @property
    def current(self) -> int:
        return max(1, int(self._limit))

    @property
    def epoch(self) -> int:
        """Take it when a call starts, give it back with the call's outcome."""
        return self._epoch

    def begin_at(self, limit: int) -> None:
        """Start from what an earlier process had reached; nothing changes once a call has told."""
        if self._is_untried:
            self._limit = float(max(1, min(limit, self.ceiling)))

    def succeeded(self) -> None:
        self._is_untried = False
        self._limit = min(float(self.ceiling), self._limit + self._step())

    def throttled(self, epoch: int) -> None:
        self._is_untried = False
        if epoch != self._epoch:
            return
        self._epoch += 1
        self._throttled_at = self._limit
        self._limit = max(1.0, self._limit * self.DECREASE)

    def _step(self) -> float:
        """What one success adds; a round trip has as many as the limit."""
        if self._throttled_at is None:
            return 1.0
        if self._limit < 0.9 * self._throttled_at:
            return 1.0 / self._limit
        if self._limit <= 1.1 * self._throttled_at + 1.0:
            return self.FEEL / self._limit
        return self.FEEL


class Shares:
    """Whose turn it is, the schedule's or a backfill's: stride scheduling among those that wait.

    Each turn moves a lane on by 1 / its share; the one that is furthest behind is next. So none
    waits longer than 1 / its share turns, and what one does not use the other has. A lane that
    comes back begins where the others are: it gets no arrears.
    https://en.wikipedia.org/wiki/Stride_scheduling (Waldspurger and Weihl, MIT/LCS/TM-528, 1995)
    """

    def __init__(self, backfill: float = 0.25) -> None:
        """`backfill` in (0, 1) is the backfills' share while scheduled work waits too."""
        self._stride = {
            LaneKind.BACKFILL: 1.0 / backfill,
            LaneKind.SCHEDULE: 1.0 / (1.0 - backfill),
        }
        self._passes = dict.fromkeys(LaneKind, 0.0)
        self._now = 0.0

    def next(self, waiting: Collection[LaneKind]) -> LaneKind:
        """Of the lanes that wait, the kind whose turn it is; it is taken. The schedule goes first
        where both are due."""

        def due(kind: LaneKind) -> tuple[float, bool]:
            return max(self._passes[kind], self._now), kind is LaneKind.BACKFILL

        chosen = min(waiting, key=due)
        self._now = max(self._passes[chosen], self._now)
        self._passes[chosen] = self._now + self._stride[chosen]
        return chosen


class FanOut:
    """Sends chunks to a scorer, as many at once as the limit and the circuit allow."""

    def __init__(
        self,
        scorer: Scorer,
        limit: AdaptiveLimit,
        circuit: Circuit,
        *,
        shares: Shares | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.circuit = circuit
        self._scorer = scorer
        self._shares = shares or Shares()
        self._clock = clock
        self._under_way = 0
        self._admitting = False
        self._preparing: asyncio.Future[None] | None = None
        self._waiting: dict[LaneKind, deque[asyncio.Future[None]]] = {
            kind: deque() for kind in LaneKind
        }

    @property
    def under_way(self) -> int:
        return self._under_way

    def expect(self) -> None:
        """Calls will come: let the scorer prepare for them meanwhile."""
        if self._preparing is None:
            self._preparing = asyncio.ensure_future(self._scorer.prepare())

    async def slot(self, lane: Lane) -> None:
        """Wait for room for one more call, and for the lane's turn; give it back with `release`,
        whatever happens."""
        waiter = asyncio.get_running_loop().create_future()
        queue = self._waiting[lane.kind]
        queue.append(waiter)
        self._admit_soon()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()  # it was our turn at the same moment
            else:
                with contextlib.suppress(ValueError):  # found and dropped by `_admit`
                    queue.remove(waiter)
            raise

    def release(self) -> None:
        self._under_way -= 1
        self._admit_soon()

    def _admit_soon(self) -> None:
        """One turn a tick of the loop: who was admitted comes back with its next chunk before the
        turn after it is given, else the first to come would take whatever is free."""
        if not self._admitting:
            self._admitting = True
            asyncio.get_running_loop().call_soon(self._admit)

    def _admit(self) -> None:
        self._admitting = False
        for queue in self._waiting.values():
            while queue and queue[0].done():  # cancelled while it waited
                queue.popleft()
        waiting = [kind for kind, queue in self._waiting.items() if queue]
        if waiting and self._under_way < self.limit.current:
            self._under_way += 1
            self._waiting[self._shares.next(waiting)].popleft().set_result(None)
            self._admit_soon()

    async def send(self, chunk: Chunk) -> Outcome:
        """One attempt, one HTTP request at most. Take a `slot` first."""
        if not self.circuit.admits(self._clock()):
            cause = self.circuit.cause
            code = cause.code if cause else "circuit_open"
            return Failure(FailureKind.CIRCUIT_OPEN, code, cause.message if cause else "")
        epoch = self.limit.epoch
        outcome = await self._scorer.score(chunk)
        self.circuit.record(outcome, self._clock())
        if isinstance(outcome, Answer):
            self.limit.succeeded()
        elif outcome.kind is FailureKind.THROTTLED:
            self.limit.throttled(epoch)
            if self.circuit.state is not CircuitState.CLOSED:
                # Throttled for so long that it is an outage: attempts count from here on.
                return replace(outcome, kind=FailureKind.UNAVAILABLE)
        return outcome
