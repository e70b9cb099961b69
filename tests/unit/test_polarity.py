from __future__ import annotations

import random

import pytest

from worker.polarity import net


def test_nothing_has_no_polarity() -> None:
    assert net(0, 0, 0) is None


@pytest.mark.parametrize("counts", [(10, 0, 0), (0, 0, 1), (300, 400, 300), (1, 1, 1)])
def test_the_interval_holds_the_value_and_ends_at_one(counts: tuple[int, int, int]) -> None:
    found = net(*counts)
    assert found
    assert -1 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    ("plus", "minus", "size"), [(0.2, 0.4, 12), (0.05, 0.1, 40), (0.5, 0.5, 30)]
)
def test_the_interval_covers_as_often_as_it_says(plus: float, minus: float, size: int) -> None:
    chance, hits = random.Random(7), 0
    for _ in range(4_000):
        draws = [chance.random() for _ in range(size)]
        positive = sum(d < plus for d in draws)
        negative = sum(plus <= d < plus + minus for d in draws)
        found = net(positive, size - positive - negative, negative)
        assert found
        hits += found.low <= plus - minus <= found.high
    assert 0.93 < hits / 4_000 < 0.99
