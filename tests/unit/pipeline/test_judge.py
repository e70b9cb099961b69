"""What becomes of a chunk after an attempt, and what that costs in the run's counters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.make import chunk
from worker.pipeline.judge import Judge, release
from worker.pipeline.policy import FallbackPolicy, Policy
from worker.records import (
    Answer,
    Bill,
    Failure,
    FailureKind,
    Lane,
    Lease,
    Opinion,
    Outcome,
    Reach,
    ScorerId,
    Settlement,
    SettlementKind,
)

MODEL, BLOB = ScorerId("lambda", "model", "1"), ScorerId("textblob", "pattern-en", "0")
GOOD = Opinion("positive", 0.9, 0.8)
DOWN = Failure(FailureKind.UNAVAILABLE, "ServiceException")


class Blob:
    """A stopgap that knows no opinion on "unsure"."""

    async def opinions(self, texts: Sequence[str]) -> list[Opinion | None]:
        return [None if text == "unsure" else GOOD for text in texts]

    async def close(self) -> None: ...


def settled(outcome: Outcome, lease: Lease, *, after_s: float | None = 0.0) -> Settlement:
    """`after_s`: the fallback policy; None never falls back."""
    policy = Policy(fallback=FallbackPolicy(after_s), max_attempts=2, parked_s=30)
    judge = Judge(policy, Blob(), BLOB, chance=lambda: 0.5, clock=lambda: 0.0)
    return asyncio.run(judge.settle(lease, outcome))


def test_an_answer_scores_each_member_of_each_item() -> None:
    lease = Lease(chunk("a", "b"), 3)
    found = settled(Answer(MODEL, [GOOD, None], bill=Bill(100, 1_000)), lease)
    assert (found.kind, found.scorer, len(found.scores)) == (SettlementKind.DONE, MODEL, 1)
    assert found.undecided == 1
    assert found.calls == {
        "invocations": 1,
        "texts_sent": 2,
        "billed_ms": 100,
        "billed_mb_ms": 100_000,
        "unreported": 0,
    }


def test_an_outage_is_retried_and_then_parked_with_textblobs_score() -> None:
    first = settled(DOWN, Lease(chunk("a"), 1))
    assert (first.kind, first.attempts, first.reason) == (
        SettlementKind.RETRY,
        1,
        "ServiceException",
    )
    last = settled(DOWN, Lease(chunk("a", "unsure", attempts=1), 1))
    assert (last.kind, last.after_s) == (SettlementKind.PARK, 30)
    assert (last.scorer, last.fallback_reason) == (BLOB, "ServiceException")
    assert [opinion for _, opinion in last.scores] == [GOOD], "it is not sure of the other"


def test_a_throttle_uses_no_attempt_and_keeps_the_history() -> None:
    lease = Lease(chunk("a", attempts=1, last_reason="before", repeats=1), 1)
    found = settled(Failure(FailureKind.THROTTLED, "TooManyRequestsException"), lease)
    assert (found.kind, found.attempts) == (SettlementKind.RETRY, 1)
    assert (found.reason, found.repeats) == ("before", 1)
    assert found.calls == {"invocations": 1, "texts_sent": 1, "throttled": 1}


def test_what_is_too_large_is_split_into_equal_parts() -> None:
    found = settled(Failure(FailureKind.TOO_LARGE, "413"), Lease(chunk("a", "b", "c", "d"), 1))
    assert found.kind is SettlementKind.SPLIT
    assert sorted(len(part) for part in found.parts) == [1, 1, 2]


def test_a_backfill_is_never_given_textblobs_scores() -> None:
    """Most of its records have a model's score already."""
    lease = Lease(chunk("a", attempts=1, lane=Lane(1, 7)), 1)
    found = settled(DOWN, lease)
    assert (found.kind, list(found.scores)) == (SettlementKind.PARK, [])


def test_without_a_fallback_nothing_is_scored() -> None:
    found = settled(DOWN, Lease(chunk("a", attempts=1), 1), after_s=None)
    assert (found.kind, found.scorer) == (SettlementKind.PARK, None)


@pytest.mark.parametrize(
    ("failure", "calls"),
    [
        (Failure(FailureKind.CIRCUIT_OPEN, "open"), {}),
        (Failure(FailureKind.UNAVAILABLE, "x", reach=Reach.NOT_SENT), {"failed": 1}),
        (
            Failure(FailureKind.UNAVAILABLE, "x", bill=Bill(60_000, 1_769, reported=False)),
            {
                "invocations": 1,
                "texts_sent": 1,
                "failed": 1,
                "billed_ms": 60_000,
                "billed_mb_ms": 60_000 * 1_769,
                "unreported": 1,
            },
        ),
    ],
    ids=["open circuit", "not sent", "no answer"],
)
def test_what_an_attempt_costs(failure: Failure, calls: dict[str, int]) -> None:
    assert settled(failure, Lease(chunk("a"), 1)).calls == calls


def test_a_lease_that_is_given_back_costs_nothing_unless_an_answer_came() -> None:
    lease = Lease(chunk("a", attempts=1, last_reason="x", repeats=2), 1)
    back = release(lease)
    assert (back.kind, back.attempts, back.repeats, back.calls) == (
        SettlementKind.RELEASE,
        1,
        2,
        {},
    )
    assert release(lease, Answer(MODEL, [GOOD])).calls["invocations"] == 1
