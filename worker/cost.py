"""What calls cost: pure arithmetic over Lambda's own report lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

MB_MS_PER_GB_S = 1024 * 1000


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars, as a provider publishes them on a day. https://aws.amazon.com/lambda/pricing/"""

    gb_second: float = 0.0000166667
    """us-east-1, x86_64; arm64 is 0.0000133334."""
    request: float = 0.0000002
    read_on: date = date(2026, 5, 11)

    def usd(self, *, invocations: float, mb_ms: float) -> float:
        return self.gb_second * gb_seconds(mb_ms) + self.request * invocations


def gb_seconds(mb_ms: float) -> float:
    return mb_ms / MB_MS_PER_GB_S


@dataclass(frozen=True, slots=True)
class Pace:
    """What calls have cost until now: a line through the origin, by texts."""

    mb_ms_per_text: float
    seconds_per_text: float
    """Billed, of one environment."""
    measured_on: int
    """Texts; 0 where nothing was measured yet and the benchmark's figures stand in."""


UNMEASURED = Pace(mb_ms_per_text=6.54 * 1769, seconds_per_text=0.00654, measured_on=0)
"""DistilBERT, int8, 50 tweets in 0.327 s on one vCPU: docs/benchmarks.md."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What some work will cost, before it starts."""

    invocations: int
    gb_seconds: float
    cost_usd: float
    duration_s: float
    """At the concurrency that is configured, if the Lambda grants it."""


def estimate(texts: int, chunks: int, *, pace: Pace, prices: Prices, concurrency: int) -> Estimate:
    mb_ms = texts * pace.mb_ms_per_text
    return Estimate(
        invocations=chunks,
        gb_seconds=round(gb_seconds(mb_ms), 3),
        cost_usd=round(prices.usd(invocations=chunks, mb_ms=mb_ms), 6),
        duration_s=round(texts * pace.seconds_per_text / max(1, min(concurrency, chunks)), 1),
    )
