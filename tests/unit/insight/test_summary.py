"""What moved net polarity between two periods, and whether chance would."""

from __future__ import annotations

import random

import pytest

from worker.insight.summary import contributions, interval_of
from worker.polarity import net
from worker.store.analytics.tallies import Group, Tally


def group(name: str, positive: int, negative: int) -> Group:
    value = net(positive, 0, negative)
    return Group(
        name=name,
        records=positive + negative,
        positive=positive,
        negative=negative,
        net=value.value if value else None,
    )


@pytest.mark.parametrize(
    ("plus", "minus", "sizes"), [(0.2, 0.4, (13, 26)), (0.1, 0.1, (30, 30)), (0.6, 0.2, (8, 60))]
)
def test_chance_alone_is_seldom_called_clear(
    plus: float, minus: float, sizes: tuple[int, int]
) -> None:
    """Two periods of the same mood."""
    chance, clear = random.Random(11), 0
    for _ in range(2_000):
        periods = []
        for size in sizes:
            draws = [chance.random() for _ in range(size)]
            positive = sum(d < plus for d in draws)
            negative = sum(plus <= d < plus + minus for d in draws)
            neutral = size - positive - negative
            periods.append(Tally(positive=positive, neutral=neutral, negative=negative))
        low, high = interval_of(*periods)
        clear += not low <= 0 <= high
    assert clear / 2_000 < 0.06


def test_a_change_above_half_the_width_may_still_be_chance() -> None:
    now, before = Tally(positive=13, neutral=4, negative=9), Tally(positive=11, negative=2)
    change = (13 - 9) / 26 - (11 - 2) / 13
    low, high = interval_of(now, before)
    assert abs(change) > (high - low) / 2
    assert low < 0 < high


def whole(groups: list[Group]) -> Tally:
    return group("all", sum(g.positive for g in groups), sum(g.negative for g in groups))


def test_contributions_add_up_to_the_change() -> None:
    before = [group("a", 50, 50), group("b", 80, 20), group("gone", 5, 5)]
    now = [group("a", 20, 80), group("b", 300, 100), group("new", 9, 1)]
    old, new = whole(before), whole(now)
    found = contributions((now, before), (new, old))
    assert old.net is not None
    assert new.net is not None
    assert sum(part for *_, part in found) == pytest.approx(new.net - old.net)
    assert {n.name for n, *_ in found} == {"a", "b", "gone", "new"}


def test_a_group_that_grew_moves_the_whole_though_it_stayed_as_it_was() -> None:
    before = [group("calm", 50, 50), group("angry", 0, 10)]
    now = [group("calm", 50, 50), group("angry", 0, 100)]
    (first, *_) = contributions((now, before), (whole(now), whole(before)))
    assert first[0].name == "angry"
    assert first[2] < -0.3
