"""Whether records are still like those of the time before: a size and a direction for each measure.

No p-values: with enough records every difference is significant, however small. Pure, but for
`between` and `of_sources`, which ask for the records.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

from sqlalchemy import Engine

from worker.store import reading
from worker.store.analytics import questions, record_questions
from worker.store.analytics.tallies import Scope

Row = Mapping[str, Any]

DAYS = 7

FEWEST = 100
"""Records of each time, at least: before that nothing is said."""

SMALL_PAIRS = 0.12
"""Cliff's delta: 56 of 100 pairs, which Vargha and Delaney call small.
https://doi.org/10.3102/10769986025002101"""

SMALL_SHARE = 0.1
"""Of records in other languages."""

SMALL_WORDS = 0.05
"""Of words, beyond what two halves of one time differ by."""

NAMED = 3
"""New words to name."""

_WORD = re.compile(r"[^\W\d_]{3,}")
_LINK = re.compile(r"https?://\S+|www\.\S+|@\w+")


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one measure has moved."""

    measure: str
    """`confidence`, `length`, `language` or `vocabulary`."""
    before: float
    """A mean probability, a median of characters, or a share from 0 to 1."""
    now: float
    size: float
    """Signed. Confidence and length: Cliff's delta from -1 to 1, how many more pairs of a record of
    now and one of before have the larger value now. Language: the share of records that would have
    to change theirs. Vocabulary: the share of words that are new, less what chance gives."""
    is_notable: bool
    about: str = ""
    """The language that has grown most, or the new words."""


def between(engine: Engine, scope: Scope) -> Sequence[Shift]:
    """The newest `record_questions.NEWEST` records of a scope against those of the time before it.
    Empty where one of them has too few."""
    now = record_questions.newest(engine, scope)
    before = record_questions.newest(engine, scope.before()) if len(now) >= FEWEST else []
    return shifts(before, now)


def of_sources(engine: Engine, names: Collection[str]) -> list[tuple[str, str, float]]:
    """Source, measure and size of the newest seven days of the named sources, or of all; none of
    one with too few records."""
    found = []
    for name in names or reading.source_names(engine):
        _, newest = questions.extent(engine, name, None) or (None, None)
        if newest is not None:
            until = newest + timedelta(days=1)
            scope = Scope(until - timedelta(days=DAYS), until, source=name)
            found += [(name, each.measure, each.size) for each in between(engine, scope)]
    return found


def shifts(before: Sequence[Row], now: Sequence[Row]) -> Sequence[Shift]:
    """Of rows with `text`, `language` and `score` (None where no model has a final one)."""
    if min(len(before), len(now)) < FEWEST:
        return ()
    found = (
        _of_pairs("confidence", _scores(before), _scores(now), _mean),
        _of_pairs("length", _lengths(before), _lengths(now), median),
        _of_languages(before, now),
        _of_words(before, now),
    )
    return tuple(shift for shift in found if shift is not None)


def _scores(rows: Sequence[Row]) -> list[float]:
    return [row["score"] for row in rows if row["score"] is not None]


def _lengths(rows: Sequence[Row]) -> list[float]:
    return [len(row["text"]) for row in rows]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _of_pairs(
    measure: str,
    before: Sequence[float],
    now: Sequence[float],
    middle: Callable[[Sequence[float]], float],
) -> Shift | None:
    if min(len(before), len(now)) < FEWEST:
        return None
    size = cliffs_delta(before, now)
    return Shift(measure, middle(before), middle(now), size, abs(size) >= SMALL_PAIRS)


def cliffs_delta(before: Sequence[float], now: Sequence[float]) -> float:
    """Of all pairs, the share that is larger now less the share that was larger before.
    https://doi.org/10.1037/0033-2909.114.3.494"""
    ordered = sorted(before)
    larger = sum(bisect_left(ordered, value) for value in now)
    smaller = sum(len(ordered) - bisect_right(ordered, value) for value in now)
    return (larger - smaller) / (len(before) * len(now))


def _of_languages(before: Sequence[Row], now: Sequence[Row]) -> Shift:
    """The total variation distance of their shares."""
    was, is_now = (
        {name: count / len(rows) for name, count in Counter(map(_language, rows)).items()}
        for rows in (before, now)
    )
    moved = {name: is_now.get(name, 0.0) - was.get(name, 0.0) for name in {*was, *is_now}}
    most = max(sorted(moved), key=lambda name: moved[name])
    size = sum(abs(change) for change in moved.values()) / 2
    share = (was.get(most, 0.0), is_now.get(most, 0.0))
    return Shift("language", *share, size, size >= SMALL_SHARE, most)


def _language(row: Row) -> str:
    """In its first part: en of en-GB."""
    return (row["language"] or "unknown").partition("-")[0].lower()


def _of_words(before: Sequence[Row], now: Sequence[Row]) -> Shift | None:
    """How many words of now were not among those of before, beside how many of one half of before
    were not among those of the other: of samples of one size."""
    size = min(len(before) // 2, len(now))
    known = Counter(word for row in before[::2][:size] for word in words_of(row["text"]))
    control = [word for row in before[1::2][:size] for word in words_of(row["text"])]
    fresh = [word for row in now[:size] for word in words_of(row["text"])]
    if not control or not fresh:
        return None
    was = sum(word not in known for word in control) / len(control)
    is_now = sum(word not in known for word in fresh) / len(fresh)
    new = Counter(fresh)
    for word in {*known, *control}:
        new.pop(word, None)
    named = ", ".join(word for word, _ in sorted(new.items(), key=lambda w: (-w[1], w[0]))[:NAMED])
    return Shift("vocabulary", was, is_now, is_now - was, is_now - was >= SMALL_WORDS, named)


def words_of(text: str) -> list[str]:
    """Words of three letters or more; links and handles are left out."""
    return _WORD.findall(_LINK.sub(" ", text).lower())
