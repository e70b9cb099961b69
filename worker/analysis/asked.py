"""What an asker may say, whoever asks: an address, an API, an assistant."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from sqlalchemy import Engine

from worker.analysis import summary
from worker.errors import Misasked
from worker.store import questions, reading, scores
from worker.store.questions import Scope
from worker.store.scores import ScoreFilter

SEARCHED = 5_000
"""Newest records among which a search by score looks: at once, where all of them would take
seconds. Whoever shows its answer says so."""

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


def at_once(wanted: ScoreFilter) -> ScoreFilter:
    """A search that is answered at once: by score it looks among the newest `SEARCHED` alone."""
    by_score = wanted.asks_scores or wanted.order != "newest"
    return replace(wanted, among=SEARCHED) if by_score else wanted
