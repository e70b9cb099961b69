"""What this process knows of the Lambda's health: circuit breaker, retry budget, evidence.

In memory and for one process on purpose: a replica that cannot reach AWS must not stop the
others. Every method takes the time (monotonic seconds); nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from worker.pipeline.policy import Evidence
from worker.records import Answer, Failure, FailureKind, Outcome

IDLE_S = 120.0
"""Two throttles further apart are not one outage; well above the longest pause between tries."""


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Circuit:
    """Opens after `threshold` failures in a row, at once for a broken configuration.

    Open, it lets one chunk probe every `window_s`; the probe's success closes it.
    https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker
    """

    COUNTED = (FailureKind.UNAVAILABLE, FailureKind.REJECTED)

    def __init__(
        self, *, threshold: int = 8, window_s: float = 30.0, throttled_s: float = 60.0
    ) -> None:
        """`throttled_s`: throttles alone for so long are an outage too (a reserved concurrency
        of 0 is AWS's emergency stop)."""
        self.state = CircuitState.CLOSED
        self.cause: Failure | None = None
        self._threshold = threshold
        self._window_s = window_s
        self._in_a_row = 0
        self._probe_at = 0.0
        self._throttled_s = throttled_s
        self._throttled_since: float | None = None
        self._throttled_at = 0.0

    def admits(self, now: float) -> bool:
        """May a chunk be sent now? Open and due, the caller that hears yes is the probe."""
        if self.state is CircuitState.CLOSED:
            return True
        if now < self._probe_at:
            return False
        self.state = CircuitState.HALF_OPEN
        self._probe_at = now + self._window_s
        return True

    def probe_due(self, now: float) -> bool:
        """Would `admits` say yes? Without becoming the probe."""
        return self.state is CircuitState.CLOSED or now >= self._probe_at

    def record(self, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Answer) or outcome.kind is FailureKind.TOO_LARGE:
            self._close()
        elif outcome.kind is FailureKind.MISCONFIGURED:
            self._open(outcome, now)
        elif outcome.kind in self.COUNTED:
            self._throttled_since = None
            self._in_a_row += 1
            if self.state is not CircuitState.CLOSED or self._in_a_row >= self._threshold:
                self._open(outcome, now)
        elif outcome.kind is FailureKind.THROTTLED:
            idle = now - self._throttled_at > IDLE_S
            if self._throttled_since is None or idle:
                self._throttled_since = now
            self._throttled_at = now
            if now - self._throttled_since >= self._throttled_s:
                self._open(outcome, now)

    def _open(self, cause: Failure, now: float) -> None:
        self.state = CircuitState.OPEN
        self.cause = cause
        self._probe_at = now + self._window_s

    def _close(self) -> None:
        self.state = CircuitState.CLOSED
        self.cause = None
        self._in_a_row = 0
        self._throttled_since = None


class RetryBudget:
    """Retries may be at most `ratio` of the calls, with `reserve` to start from.

    Keeps a partial outage from being multiplied by everybody's retries.
    https://finagle.github.io/blog/2016/02/08/retry-budgets/
    """

    def __init__(self, *, ratio: float = 0.2, reserve: float = 50.0) -> None:
        self._ratio = ratio
        self._ceiling = reserve
        self._tokens = reserve

    def deposit(self) -> None:
        self._tokens = min(self._ceiling, self._tokens + self._ratio)

    def has_room(self) -> bool:
        return self._tokens >= 1.0

    def withdraw(self) -> None:
        self._tokens -= 1.0


class RecentOutcomes:
    """Remembers how the last chunks fared, by the chunk that each descends from.

    A chunk is split for its own sake only when the function is not known to be failing for
    everybody: others succeed, or there are no others to compare with.
    """

    def __init__(self, *, memory: int = 32, valid_s: float = 300.0) -> None:
        """What was seen longer than `valid_s` ago says nothing of the function as it is now."""
        self._last: deque[tuple[float, int, bool]] = deque(maxlen=memory)
        self._failures: deque[tuple[float, int, str]] = deque(maxlen=16 * memory)
        self._valid_s = valid_s

    def saw(self, root_id: int, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Answer):
            self._last.append((now, root_id, True))
        elif outcome.kind in Circuit.COUNTED:
            self._last.append((now, root_id, False))
            self._failures.append((now, root_id, outcome.code))

    def is_peculiar(self, root_id: int, code: str, now: float) -> bool:
        """Did only this chunk, its parts included, meet that failure lately, while another was
        answered? With nobody to compare with there is nothing peculiar."""
        compared = any(
            root != root_id and good and now - at <= self._valid_s for at, root, good in self._last
        )
        return compared and not any(
            root != root_id and met == code and now - at <= self._valid_s
            for at, root, met in self._failures
        )

    def others(self, root_id: int, now: float) -> Evidence:
        """A success anywhere counts, a chunk's own siblings' too; only others' failures do."""
        lately = [(root, good) for at, root, good in self._last if now - at <= self._valid_s]
        if any(good for _, good in lately):
            return "succeed"
        return "fail" if any(root != root_id for root, _ in lately) else "unknown"
