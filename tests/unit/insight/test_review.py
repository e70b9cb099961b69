"""Accuracy and corrected shares from a sample that people judged."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.insight.review import LABELS, agreement, corrected, findings, wilson

NEGATIVE, NEUTRAL, POSITIVE = LABELS

# Of 10,000 records: what the machine calls them, and what people would.
TRUTH = {
    (NEGATIVE, NEGATIVE): 3_400, (NEGATIVE, NEUTRAL): 500, (NEGATIVE, POSITIVE): 200,
    (NEUTRAL, NEGATIVE): 1_700, (NEUTRAL, NEUTRAL): 1_900, (NEUTRAL, POSITIVE): 300,
    (POSITIVE, NEGATIVE): 300, (POSITIVE, NEUTRAL): 300, (POSITIVE, POSITIVE): 1_400,
}  # fmt: skip
POPULATION = {m: sum(n for (said, _), n in TRUTH.items() if said == m) for m in LABELS}
DRAW = POPULATION | {"drawn_at": datetime(2026, 3, 1, tzinfo=UTC)}


def item(machine: str, person: str | None, part: str = "random", **more: Any) -> dict[str, Any]:
    return {"machine_label": machine, "person_label": person, "part": part, "model": "m 1",
            "language": None, "skipped_why": None} | more  # fmt: skip


def test_only_what_was_drawn_at_random_is_estimated_from() -> None:
    found = findings(
        DRAW,
        [
            item(NEGATIVE, NEGATIVE),
            item(NEGATIVE, POSITIVE),
            *[item(NEGATIVE, POSITIVE, part="unsure")] * 10,
            item(NEGATIVE, None),
            item(NEGATIVE, None, skipped_why="not a text"),
        ],
    )
    assert (found.drawn, found.judged, found.at_random, found.skipped) == (14, 12, 2, 1)
    assert found.accuracy[0].of == "all"
    assert (found.accuracy[0].right, found.accuracy[0].judged) == (1, 2)


def test_accuracy_is_told_by_label_language_and_model() -> None:
    judged = [item(NEGATIVE, NEGATIVE, language="de"), item(POSITIVE, NEUTRAL, language="en")]
    found = findings(DRAW, judged)
    assert {each.of: each.right for each in found.accuracy} == {
        "all": 1, "label negative": 1, "label positive": 0, "language de": 1, "language en": 0,
        "model m 1": 1,
    }  # fmt: skip


def test_nothing_judged_gives_no_estimate() -> None:
    found = findings(DRAW, [item(NEGATIVE, None)])
    assert found.corrected == ()
    assert list(found.accuracy) == []


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (10, 10), (7, 10), (170, 200)])
def test_an_interval_holds_its_share_and_stays_between_0_and_1(hits: int, total: int) -> None:
    share = wilson(hits, total)
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_the_truth_is_in_the_interval_in_93_of_100_draws() -> None:
    truth = {p: sum(n for (_, said), n in TRUTH.items() if said == p) / 10_000 for p in LABELS}
    draw, held = random.Random(1), 0
    for _ in range(100):
        sample = draw.choices(list(TRUTH), list(TRUTH.values()), k=200)
        held += sum(
            each.corrected.low <= truth[each.label] <= each.corrected.high
            for each in corrected(POPULATION, Counter(sample))
        )
    assert held >= 0.93 * 300


def test_the_same_records_give_the_same_numbers() -> None:
    sample = Counter({(NEGATIVE, NEGATIVE): 30, (NEUTRAL, NEGATIVE): 20, (POSITIVE, POSITIVE): 50})
    assert corrected(POPULATION, sample) == corrected(POPULATION, sample)


def test_a_machine_that_hides_what_is_negative_is_corrected_upwards() -> None:
    sample = Counter({(NEUTRAL, NEGATIVE): 45, (NEUTRAL, NEUTRAL): 55, (NEGATIVE, NEGATIVE): 50})
    (negative, *_) = corrected({NEGATIVE: 200, NEUTRAL: 800}, sample)
    assert negative.counted == pytest.approx(0.2)
    assert negative.corrected.low > 0.4


def test_agreement_is_krippendorffs_alpha() -> None:
    """Against the package krippendorff 0.8.1, level interval."""
    judged = [
        [NEGATIVE, NEGATIVE], [NEGATIVE, NEUTRAL], [POSITIVE, POSITIVE, NEUTRAL],
        [NEUTRAL], [NEGATIVE, POSITIVE], [POSITIVE, POSITIVE], [NEUTRAL, NEUTRAL, NEUTRAL],
    ]  # fmt: skip
    assert agreement(judged) == pytest.approx(0.376)


def test_full_agreement_is_1_and_none_is_told_of_nothing() -> None:
    assert agreement([[NEGATIVE, NEGATIVE], [POSITIVE, POSITIVE]]) == 1
    assert agreement([[NEGATIVE], [POSITIVE]]) is None
    assert agreement([[NEGATIVE, NEGATIVE], [NEGATIVE, NEGATIVE]]) is None
    assert agreement([]) is None
