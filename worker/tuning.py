"""Which memory and which chunk size suit a function: what was measured, and what follows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from worker.cost import Prices, gb_seconds

NEAR = 1.1
"""What costs at most so much more than the cheapest is as cheap; the faster of them is better."""

SAFE_SHARE = 0.5
"""Of the timeout, a call should take no more: texts are longer on other days, some calls cold."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Calls of one size at one memory, one after another, to a warm environment."""

    memory_mb: int
    texts: int
    """A call."""
    billed_ms: Sequence[int] = ()
    """Of each call, by Lambda's own report line."""
    error: str | None = None
    """Why it was given up; then `billed_ms` counts for nothing."""

    def at(self, memory_mb: int) -> Trial:
        """The same, with the memory named: a call that failed brought no report line to say it."""
        return replace(self, memory_mb=memory_mb)

    @property
    def ms(self) -> float:
        """Of a call, the median: the noise of a shared machine is one-sided."""
        ordered = sorted(self.billed_ms)
        return float(ordered[len(ordered) // 2])

    @property
    def texts_per_s(self) -> float:
        """Of one environment."""
        return 1000 * self.texts / self.ms

    @property
    def gb_seconds_per_1000(self) -> float:
        return gb_seconds(self.memory_mb * self.ms) * 1000 / self.texts

    def usd_per_1000(self, prices: Prices) -> float:
        """US dollars for a thousand texts, requests included."""
        return prices.usd(invocations=1, mb_ms=self.memory_mb * self.ms) * 1000 / self.texts


def recommend(trials: Sequence[Trial], *, prices: Prices, timeout_s: float) -> Trial | None:
    """The fastest of the cheapest that leave room in the timeout; None if none does."""
    allowed = SAFE_SHARE * timeout_s * 1000
    usable = [t for t in trials if t.error is None and t.billed_ms and max(t.billed_ms) <= allowed]
    if not usable:
        return None
    cheapest = min(trial.usd_per_1000(prices) for trial in usable)
    near = [trial for trial in usable if trial.usd_per_1000(prices) <= NEAR * cheapest]
    return max(near, key=lambda trial: trial.texts_per_s)
