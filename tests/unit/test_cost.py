"""Arithmetic of Lambda's bills."""

from __future__ import annotations

import pytest

from worker.cost import Pace, Prices, estimate, gb_seconds


def test_the_source_documents_own_example() -> None:
    """Seed 001: 10,000 texts in calls of 50, 2 s each at 2 GB, are 800 GB-seconds, about a cent."""
    pace = Pace(mb_ms_per_text=2_000 * 2_048 / 50, seconds_per_text=2 / 50, measured_on=10_000)
    found = estimate(10_000, 200, pace=pace, prices=Prices(), concurrency=10)
    assert found.gb_seconds == 800
    assert found.cost_usd == pytest.approx(0.0134, abs=0.0001)
    assert found.duration_s == 40
    assert gb_seconds(1_024_000) == 1
