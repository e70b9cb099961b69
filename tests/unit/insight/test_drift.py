"""Whether records are like those of before: by size and direction, and the same however many."""

from __future__ import annotations

import random
from typing import Any

import pytest

from worker.insight.drift import Shift, cliffs_delta, shifts, words_of

WORDS = "the a late flight was good bad again never luggage crew seat gate hour call wait".split()


def rows(count: int, seed: int, **more: Any) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {"text": " ".join(rng.choices(WORDS, k=rng.randint(5, 20))), "language": "en",
         "score": rng.uniform(0.4, 1)} | more
        for _ in range(count)
    ]  # fmt: skip


def by_measure(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> dict[str, Shift]:
    return {shift.measure: shift for shift in shifts(before, now)}


@pytest.mark.parametrize("count", [200, 1_000, 5_000])
def test_what_is_alike_is_alike_however_many_there_are(count: int) -> None:
    found = by_measure(rows(count, 1), rows(count, 2))
    assert set(found) == {"confidence", "length", "language", "vocabulary"}
    assert not any(shift.is_notable for shift in found.values())


def test_each_measure_moves_by_itself() -> None:
    before = rows(400, 1)
    longer = [row | {"text": f"{row['text']} {row['text']}"} for row in rows(400, 2)]
    unsure = [row | {"score": row["score"] - 0.3} for row in rows(400, 2)]
    spanish = [row | {"language": "es-MX" if n % 4 == 0 else "en"}
               for n, row in enumerate(rows(400, 2))]  # fmt: skip
    other = [row | {"text": row["text"] + " drones overbooked"} for row in rows(400, 2)]
    for now, measure, up in (
        (longer, "length", True), (unsure, "confidence", False),
        (spanish, "language", True), (other, "vocabulary", True),
    ):  # fmt: skip
        found = by_measure(before, now)
        assert found[measure].is_notable
        assert (found[measure].size > 0) is up
    assert by_measure(before, spanish)["language"].about == "es"
    assert by_measure(before, spanish)["language"].size == pytest.approx(0.25)
    assert by_measure(before, other)["vocabulary"].about == "drones, overbooked"


def test_of_few_records_nothing_is_said() -> None:
    assert shifts(rows(99, 1), rows(5_000, 2)) == ()
    unscored = by_measure(rows(200, 1, score=None), rows(200, 2))
    assert "confidence" not in unscored


def test_the_delta_is_what_counting_every_pair_gives() -> None:
    before, now = [1.0, 2.0, 2.0, 5.0], [2.0, 3.0]
    pairs = [(b, n) for b in before for n in now]
    counted = sum(n > b for b, n in pairs) - sum(n < b for b, n in pairs)
    assert cliffs_delta(before, now) == counted / len(pairs)
    assert cliffs_delta([1.0], [1.0]) == 0


def test_links_handles_and_numbers_are_no_words() -> None:
    assert words_of("@united 3 hours LATE, see https://t.co/abc or www.example.org/x ") == [
        "hours", "late", "see",
    ]  # fmt: skip
