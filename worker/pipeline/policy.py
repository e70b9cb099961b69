"""Pure: what happened to a chunk -> what becomes of it.

The table of docs/architecture.md ("Policy, in one table"), case by case. Time and chance come in as
arguments; nothing here waits, writes or remembers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker.records import Chunk, Failure, FailureKind

Evidence = Literal["succeed", "fail", "unknown"]
"""What other chunks of this process met lately: the difference between a sick Lambda and a
sick text."""


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """When TextBlob may speak for the model. `after_s` is None for "defer", 0 for "immediate"."""

    after_s: float | None = 0.0

    def allows(self, age_s: float) -> bool:
        return self.after_s is not None and age_s >= self.after_s


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of the policy."""

    fallback: FallbackPolicy = FallbackPolicy()
    max_attempts: int = 5
    backoff_base_s: float = 0.25
    backoff_cap_s: float = 30.0
    same_before_split: int = 2
    same_before_giving_up: int = 3
    split_ways: int = 3
    parked_s: float = 30.0
    """How long a parked chunk rests before a probe may try it: the circuit's window."""


@dataclass(frozen=True, slots=True)
class Retry:
    after_s: float
    uses_attempt: bool


@dataclass(frozen=True, slots=True)
class Split:
    ways: int


@dataclass(frozen=True, slots=True)
class Fallback:
    """A provisional TextBlob score now, the model's later: the chunk stays open, parked."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Defer:
    """No score now; the chunk stays open, parked."""

    after_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The text itself is the culprit: quarantine, and a TextBlob score with the reason."""


Decision = Retry | Split | Fallback | Defer | GiveUp


def decide(
    failure: Failure,
    chunk: Chunk,
    *,
    policy: Policy,
    others: Evidence,
    may_retry: bool,
    chance: float,
    throttles: int = 0,
    peculiar: bool = False,
) -> Decision:
    """Decide for `chunk` after `failure`.

    `others` is what other chunks met lately, `may_retry` whether the shared retry budget has
    room, `chance` a draw from [0, 1) for the jitter, `throttles` how many came since the last
    success, `peculiar` whether no other chunk met this failure.
    """
    match failure.kind:
        case FailureKind.THROTTLED:
            return Retry(_pause(failure, throttles, policy, chance), uses_attempt=False)
        case FailureKind.TOO_LARGE if len(chunk.items) > 1:
            return Split(policy.split_ways)
        case FailureKind.TOO_LARGE if others == "succeed":
            return GiveUp()
        case FailureKind.REJECTED:
            return _rejected(failure, chunk, policy, others, may_retry, chance, peculiar)
        case FailureKind.UNAVAILABLE:
            return _retry_or_wait(failure, chunk, policy, may_retry, chance)
        case FailureKind.MISCONFIGURED | FailureKind.CIRCUIT_OPEN | FailureKind.TOO_LARGE:
            return wait_for_lambda(chunk, policy)


def wait_for_lambda(chunk: Chunk, policy: Policy) -> Fallback | Defer:
    """What to do with a chunk that must wait until the Lambda is usable again."""
    if not chunk.provisional and policy.fallback.allows(chunk.age_s):
        return Fallback(policy.parked_s)
    return Defer(policy.parked_s)


def backoff(attempt: int, policy: Policy, chance: float) -> float:
    """Seconds to wait before attempt number `attempt` + 1: exponential with full jitter.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling = min(policy.backoff_cap_s, policy.backoff_base_s * 2.0 ** min(attempt, 30))
    return chance * ceiling


def repeats_after(failure: Failure, chunk: Chunk) -> int:
    """How many times in a row the chunk will have met this failure, this one included."""
    return chunk.repeats + 1 if chunk.last_reason == failure.code else 1


def _rejected(
    failure: Failure,
    chunk: Chunk,
    policy: Policy,
    others: Evidence,
    may_retry: bool,
    chance: float,
    peculiar: bool,
) -> Decision:
    same = repeats_after(failure, chunk)
    if others != "fail" and len(chunk.items) > 1 and same >= policy.same_before_split:
        return Split(policy.split_ways)
    # Its ancestors' failures count. One call of its own is enough only where nobody else meets
    # this failure: else it may have been hit by what hits others at random.
    condemned = same >= policy.same_before_giving_up and (peculiar or chunk.attempts >= 1)
    # Nor while nothing else succeeds: then the function is sick, and the text waits for it.
    if others == "succeed" and len(chunk.items) == 1 and condemned:
        return GiveUp()
    return _retry_or_wait(failure, chunk, policy, may_retry, chance)


def _retry_or_wait(
    failure: Failure, chunk: Chunk, policy: Policy, may_retry: bool, chance: float
) -> Decision:
    if may_retry and chunk.attempts + 1 < policy.max_attempts:
        return Retry(_pause(failure, chunk.attempts, policy, chance), uses_attempt=True)
    return wait_for_lambda(chunk, policy)


def _pause(failure: Failure, attempt: int, policy: Policy, chance: float) -> float:
    asked = min(failure.retry_after_s or 0.0, policy.backoff_cap_s)
    return max(asked, backoff(attempt, policy, chance))
