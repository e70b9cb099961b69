"""The policy table, case by case."""

from __future__ import annotations

import pytest

from tests.make import chunk
from worker.pipeline.policy import (
    Decision,
    Defer,
    Evidence,
    Fallback,
    FallbackPolicy,
    GiveUp,
    Policy,
    Retry,
    Split,
    backoff,
    decide,
)
from worker.records import Chunk, Failure, FailureKind

POLICY = Policy()


def after(
    kind: FailureKind,
    of: Chunk | None = None,
    *,
    code: str = "code",
    policy: Policy = POLICY,
    others: Evidence = "succeed",
    may_retry: bool = True,
    chance: float = 0.5,
    retry_after_s: float | None = None,
) -> Decision:
    failure = Failure(kind, code, retry_after_s=retry_after_s)
    return decide(
        failure,
        of or chunk("a", "b"),
        policy=policy,
        others=others,
        may_retry=may_retry,
        chance=chance,
    )


def test_a_throttle_uses_no_attempt_however_often_it_comes() -> None:
    decision = after(FailureKind.THROTTLED, chunk("a", attempts=4), may_retry=False)
    assert isinstance(decision, Retry)
    assert not decision.uses_attempt


def test_an_outage_is_retried_with_full_jitter_up_to_the_cap() -> None:
    assert after(FailureKind.UNAVAILABLE, chance=0.0) == Retry(0.0, uses_attempt=True)
    assert backoff(3, POLICY, 1.0) == POLICY.backoff_base_s * 8
    assert backoff(1000, POLICY, 1.0) == POLICY.backoff_cap_s


def test_the_servers_retry_after_is_respected_within_the_cap() -> None:
    assert after(FailureKind.UNAVAILABLE, retry_after_s=7) == Retry(7, uses_attempt=True)
    assert after(FailureKind.UNAVAILABLE, retry_after_s=1e9) == Retry(30, uses_attempt=True)


@pytest.mark.parametrize(("attempts", "may_retry"), [(4, True), (0, False)])
def test_used_up_attempts_or_budget_fall_back(attempts: int, may_retry: bool) -> None:
    decision = after(FailureKind.UNAVAILABLE, chunk("a", attempts=attempts), may_retry=may_retry)
    assert decision == Fallback(POLICY.parked_s)


@pytest.mark.parametrize("kind", [FailureKind.MISCONFIGURED, FailureKind.CIRCUIT_OPEN])
def test_what_waiting_cannot_mend_falls_back_at_once(kind: FailureKind) -> None:
    assert after(kind) == Fallback(POLICY.parked_s)


def test_what_has_a_provisional_score_already_gets_no_second_one() -> None:
    assert after(FailureKind.CIRCUIT_OPEN, chunk("a", provisional=True)) == Defer(POLICY.parked_s)


def test_defer_leaves_pending_and_after_waits_for_the_age() -> None:
    defer = Policy(fallback=FallbackPolicy(None))
    assert after(FailureKind.CIRCUIT_OPEN, policy=defer) == Defer(POLICY.parked_s)
    old = Policy(fallback=FallbackPolicy(600))
    assert after(FailureKind.CIRCUIT_OPEN, chunk("a", age_s=599), policy=old) == Defer(30)
    assert after(FailureKind.CIRCUIT_OPEN, chunk("a", age_s=600), policy=old) == Fallback(30)


def test_too_large_is_split_now_and_a_single_text_given_up() -> None:
    assert after(FailureKind.TOO_LARGE) == Split(POLICY.split_ways)
    assert after(FailureKind.TOO_LARGE, chunk("a")) == GiveUp()
    assert after(FailureKind.TOO_LARGE, chunk("a"), others="unknown") == Fallback(POLICY.parked_s)


def test_a_rejected_chunk_is_split_after_two_the_same() -> None:
    assert isinstance(after(FailureKind.REJECTED), Retry)
    again = chunk("a", "b", attempts=1, last_reason="code", repeats=1)
    assert after(FailureKind.REJECTED, again) == Split(POLICY.split_ways)
    other = chunk("a", "b", attempts=1, last_reason="another", repeats=1)
    assert isinstance(after(FailureKind.REJECTED, other), Retry)


def test_a_sick_function_splits_nothing() -> None:
    again = chunk("a", "b", attempts=1, last_reason="code", repeats=5)
    assert isinstance(after(FailureKind.REJECTED, again, others="fail"), Retry)
    worn = chunk("a", "b", attempts=4, last_reason="code", repeats=5)
    assert after(FailureKind.REJECTED, worn, others="fail") == Fallback(POLICY.parked_s)


@pytest.mark.parametrize("others", ["unknown", "fail"])
def test_no_text_is_condemned_while_nothing_else_succeeds(others: Evidence) -> None:
    worn = chunk("a", last_reason="code", repeats=9, attempts=4)
    assert after(FailureKind.REJECTED, worn, others=others) == Fallback(POLICY.parked_s)


def test_throttles_in_a_row_lengthen_the_pause() -> None:
    failure = Failure(FailureKind.THROTTLED, "busy")
    long = decide(failure, chunk("a"), policy=POLICY, others="unknown", may_retry=True,
                  chance=1.0, throttles=20)  # fmt: skip
    assert long == Retry(POLICY.backoff_cap_s, uses_attempt=False)


def test_a_lone_chunk_without_others_to_compare_with_is_split() -> None:
    again = chunk("a", "b", attempts=1, last_reason="code", repeats=1)
    assert after(FailureKind.REJECTED, again, others="unknown") == Split(POLICY.split_ways)


def test_a_culprit_is_given_up_at_its_third_failure() -> None:
    assert isinstance(after(FailureKind.REJECTED, chunk("a", last_reason="code", repeats=1)), Retry)
    worn = chunk("a", last_reason="code", repeats=2, attempts=1)
    assert after(FailureKind.REJECTED, worn) == GiveUp()


def test_a_text_is_not_condemned_by_its_ancestors_failures_alone() -> None:
    child = chunk("a", last_reason="code", repeats=2, attempts=0)
    assert isinstance(after(FailureKind.REJECTED, child), Retry)
