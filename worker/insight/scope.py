"""What an asker may say, whoever asks: an address, an API, an assistant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator
from sqlalchemy import Engine

from worker.errors import Misasked
from worker.insight import summary
from worker.store import reading
from worker.store.analytics import questions, scores
from worker.store.analytics.scores import BY_TIME, MOST, Extreme, Row, ScoreFilter
from worker.store.analytics.tallies import Scope

SEARCHED = 5_000
"""Newest records (oldest, in that order) among which a search by score looks: at once, where all of
them would take seconds. Whoever shows its answer says so."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LAST = date.max - timedelta(days=1)


def _iso(value: object) -> object:
    """pydantic takes seconds since 1970 for a date too."""
    if value == "":
        return None  # a form's empty field
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("write it as 2026-01-31")
    return value


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("no text that can be stored")
    return text


Iso = BeforeValidator(_iso)
Text = Annotated[str, AfterValidator(_storable)]


def scope_of(
    engine: Engine,
    source: str | None,
    since: date | None,
    last: date | None,
    tag: str | None = None,
    value: str | None = None,
    *,
    ever: bool = False,
) -> Scope:
    """The scope that is meant; `last` is its last day. Without dates the last seven days up to the
    newest record, or (`ever`) every day that there is. Raises Unknown and Misasked."""
    if (tag is None) != (value is None):
        raise Misasked("A tag and its value belong together.")
    both = (tag, value) if tag is not None and value is not None else None
    if ever:
        first, newest = questions.extent(engine, source, both) or (None, None)
        last = last or newest
        since = since or (min(first, last) if first and last else None)
    return summary.period(
        engine,
        since=since,
        until=min(last, _LAST) + timedelta(days=1) if last else None,
        source=source,
        tag=both,
    )


def require(engine: Engine, wanted: ScoreFilter) -> None:
    """A typo is no empty answer: raises Unknown for a source, a label, a tag or a value that nobody
    knows, and Misasked for words that cannot be searched for."""
    if wanted.source is not None:
        reading.require_source(engine, wanted.source)
    if wanted.tag is not None:
        questions.require_tag(engine, wanted.source, *wanted.tag)
    scores.require_label(engine, wanted.label)
    if wanted.words is not None:
        questions.require_words(engine, wanted.words)


@dataclass(frozen=True, slots=True)
class Searched:
    """Rows for a screen, and what they are of."""

    rows: Sequence[Row]
    among: int | None = None
    """So many newest (or, in that order, oldest) records were looked at; None: all of them."""
    at_most: int | None = None
    """So many are given of an order by score, whatever the limit; None: the limit counts."""


def search(engine: Engine, wanted: ScoreFilter, among: int = SEARCHED) -> Searched:
    """What is answered at once: the outermost records alone are the true ones of them all, by an
    index, `MOST` at most; what asks for a score besides is looked for among so many records.
    Raises as `require`."""
    require(engine, wanted)
    if scores.is_outermost(wanted):
        count = min(wanted.limit or MOST, MOST)
        rows = scores.extremes(engine, cast("Extreme", wanted.order), count, **_days_of(wanted))
        is_cut = len(rows) == MOST and (wanted.limit or MOST) > MOST
        return Searched(rows, at_most=MOST if is_cut else None)
    if wanted.asks_scores or wanted.order not in BY_TIME:
        wanted = replace(wanted, among=among)
    return Searched(list(scores.ask(engine, wanted)), among=wanted.among)


def _days_of(wanted: ScoreFilter) -> dict[str, Any]:
    assert wanted.since is not None
    assert wanted.until is not None
    days = {"since": wanted.since.date(), "until": wanted.until.date()}
    return days | {"source": wanted.source, "tag": wanted.tag}
