"""Which memory and which chunk size are recommended."""

from __future__ import annotations

import pytest

from worker.cost import Prices
from worker.tuning import Trial, recommend

PRICES = Prices(gb_second=1.0, request=0.0)


def _trial(memory_mb: int, texts: int, *billed_ms: int, error: str | None = None) -> Trial:
    return Trial(memory_mb, texts, billed_ms, error)


def test_the_faster_of_two_that_cost_the_same() -> None:
    slow, fast = _trial(1024, 50, 1000, 1000, 1000), _trial(2048, 50, 510, 510, 510)
    dear = _trial(3008, 50, 500, 500, 500)
    assert recommend([slow, fast, dear], prices=PRICES, timeout_s=60) is fast


def test_neither_one_that_failed_nor_one_too_near_to_the_timeout() -> None:
    failed = _trial(128, 50, error="function_Runtime.ExitError")
    late = _trial(512, 50, 100, 100, 31_000)
    fine = _trial(1024, 50, 900, 900, 900)
    assert recommend([failed, late, fine], prices=PRICES, timeout_s=60) is fine
    assert recommend([failed, late], prices=PRICES, timeout_s=60) is None


def test_requests_make_small_chunks_dear() -> None:
    prices = Prices(gb_second=0.0, request=1.0)
    small, large = _trial(1024, 10, 1, 1, 1), _trial(1024, 50, 5, 5, 5)
    assert small.usd_per_1000(prices) == pytest.approx(100)
    assert large.usd_per_1000(prices) == pytest.approx(20)
    assert recommend([small, large], prices=prices, timeout_s=60) is large


def test_one_slow_call_among_others_changes_nothing() -> None:
    assert _trial(1024, 50, 100, 900, 110, 90, 95).ms == 100
    assert _trial(1024, 50, 100, 900, 110, 90, 95).texts_per_s == pytest.approx(500)
