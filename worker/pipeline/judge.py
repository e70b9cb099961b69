"""What becomes of a chunk after an attempt: policy's decision, made into a settlement."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from worker import chunk as chunking
from worker.pipeline.circuit import RecentOutcomes, RetryBudget
from worker.pipeline.policy import (
    Defer,
    Fallback,
    GiveUp,
    Policy,
    Retry,
    Split,
    decide,
    repeats_after,
)
from worker.ports import Stopgap
from worker.records import (
    Answer,
    Chunk,
    Failure,
    FailureKind,
    Lease,
    Member,
    Opinion,
    Outcome,
    Reach,
    ScorerId,
    Settlement,
    SettlementKind,
)


class Judge:
    """Keeps what policy needs to know of other chunks: how they fared, and the retry budget."""

    def __init__(
        self,
        policy: Policy,
        stopgap: Stopgap,
        stopgap_id: ScorerId,
        *,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._stopgap = stopgap
        self._stopgap_id = stopgap_id
        self._recent = RecentOutcomes()
        self._budget = RetryBudget()
        self._chance = chance
        self._clock = clock
        self._throttles = 0

    async def settle(self, lease: Lease, outcome: Outcome) -> Settlement:
        """Turn an outcome into a settlement; asks TextBlob where the policy falls back."""
        self._recent.saw(lease.chunk.root_id, outcome, self._clock())
        if isinstance(outcome, Answer):
            self._budget.deposit()
            self._throttles = 0
            return _done(lease, outcome)
        return await self._failed(lease, outcome)

    async def _failed(self, lease: Lease, failure: Failure) -> Settlement:
        chunk = lease.chunk
        self._throttles += failure.kind is FailureKind.THROTTLED
        decision = decide(
            failure,
            chunk,
            policy=self._policy,
            others=self._recent.others(chunk.root_id, self._clock()),
            may_retry=self._budget.has_room(),
            chance=self._chance(),
            throttles=self._throttles,
            peculiar=self._recent.is_peculiar(chunk.root_id, failure.code, self._clock()),
        )
        became = partial(Settlement, lease, reason=failure.code, calls=_calls(chunk, failure))
        repeats = repeats_after(failure, chunk)
        used = chunk.attempts + 1
        match decision:
            case Retry(after_s, uses_attempt=True):
                self._budget.withdraw()
                kind = SettlementKind.RETRY
                return became(kind, after_s=after_s, attempts=used, repeats=repeats)
            case Retry(after_s):
                return became(
                    SettlementKind.RETRY,
                    after_s=after_s,
                    attempts=chunk.attempts,
                    reason=chunk.last_reason,
                    repeats=chunk.repeats,
                )
            case Split(ways):
                parts = chunking.split(chunk.items, ways)
                kind = SettlementKind.SPLIT
                return became(kind, parts=parts, attempts=used, repeats=repeats)
            case Defer(after_s):
                return became(SettlementKind.PARK, after_s=after_s)
            case Fallback(after_s) if chunk.lane.is_backfill:
                return became(SettlementKind.PARK, after_s=after_s)  # most have a model's score
            case Fallback(after_s):
                settlement = became(SettlementKind.PARK, after_s=after_s)
            case GiveUp():
                settlement = became(SettlementKind.DEAD, attempts=used, repeats=repeats)
        return await self._with_stopgap(settlement, failure)

    async def _with_stopgap(self, settlement: Settlement, failure: Failure) -> Settlement:
        """The same with TextBlob's scores, and why the model did not speak."""
        return replace(
            settlement,
            scores=await self._provisional(settlement.lease.chunk),
            scorer=self._stopgap_id,
            fallback_reason=failure.code,
        )

    async def _provisional(self, chunk: Chunk) -> list[tuple[Member, Opinion]]:
        opinions = await self._stopgap.opinions([item.text for item in chunk.items])
        return [
            (member, opinion)
            for item, opinion in zip(chunk.items, opinions, strict=True)
            if opinion is not None
            for member in item.members
        ]


def release(lease: Lease, unwanted: Answer | None = None) -> Settlement:
    """Give a lease back untouched: this process is stopping. An answer that came, but is not kept,
    was paid for all the same."""
    chunk = lease.chunk
    return Settlement(
        lease,
        SettlementKind.RELEASE,
        attempts=chunk.attempts,
        reason=chunk.last_reason,
        repeats=chunk.repeats,
        calls=_calls(chunk, unwanted) if unwanted else {},
    )


def _done(lease: Lease, answer: Answer) -> Settlement:
    chunk = lease.chunk
    scores = [
        (member, opinion)
        for item, opinion in zip(chunk.items, answer.opinions, strict=True)
        if opinion is not None
        for member in item.members
    ]
    return Settlement(
        lease,
        SettlementKind.DONE,
        scores=scores,
        scorer=answer.scorer,
        undecided=chunk.record_count - len(scores),
        attempts=chunk.attempts + 1,
        calls=_calls(chunk, answer),
    )


def _calls(chunk: Chunk, outcome: Outcome) -> dict[str, int]:
    """One attempt is one HTTP request; an open circuit sends none."""
    calls = {"invocations": 1, "texts_sent": len(chunk.items)}
    if isinstance(outcome, Failure):
        if outcome.kind is FailureKind.CIRCUIT_OPEN:
            return {}
        if outcome.reach is Reach.NOT_SENT:
            return {"failed": 1}
        calls["throttled" if outcome.kind is FailureKind.THROTTLED else "failed"] = 1
    if outcome.bill:
        milliseconds, memory_mb, reported = outcome.bill
        calls |= {"billed_ms": milliseconds, "billed_mb_ms": milliseconds * memory_mb}
        calls["unreported"] = int(not reported)
    return calls
