"""Records with their current score, as a filter wants them: from schema `analytics` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine, Select

from worker import words
from worker.errors import Misasked, Unknown
from worker.store import database
from worker.store.analytics.views import CURRENT_SENTIMENT, EXTREMES, RECORDS, SCORES, SOURCES

Row = Mapping[str, Any]

TAG_SHOWN = 200
"""Characters by which values of tags are told apart."""

LABELS = ("positive", "neutral", "negative")
SCORERS = ("lambda", "textblob", "person")

MOST = 20
"""Records that `extremes` gives at most: so many of each row of `tally` are kept."""

Extreme = Literal["most-negative", "most-positive"]
Order = Literal["newest", "oldest", Extreme]

# Of a language that the model does not read a polarity is a guess: it comes last, as none does.
_COUNTED_POLARITY = sa.case((CURRENT_SENTIMENT.c.language_supported, CURRENT_SENTIMENT.c.polarity))

ORDERS: Mapping[str, ColumnElement[Any]] = {
    "newest": CURRENT_SENTIMENT.c.moment.desc(),
    "oldest": CURRENT_SENTIMENT.c.moment.asc(),
    "most-negative": _COUNTED_POLARITY.asc().nulls_last(),
    "most-positive": _COUNTED_POLARITY.desc().nulls_last(),
}


BY_TIME = ("newest", "oldest")


@dataclass(frozen=True, slots=True)
class ScoreFilter:
    """Which scores a person wants to see; None means any."""

    source: str | None = None
    label: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    provisional: bool | None = None
    scorer: str | None = None
    """lambda, textblob or person."""
    min_polarity: float | None = None
    max_polarity: float | None = None
    text: str | None = None
    """Is somewhere in the text, in any case."""
    tag: tuple[str, str] | None = None
    """A tag's name and its value."""
    words: str | None = None
    """As a search engine reads them: `analytics.matches`."""
    among: int | None = None
    """Only among so many newest records, of those that the rest of the filter leaves whatever their
    score: an answer at once, where all of them would take seconds."""
    limit: int | None = 20
    order: str = "newest"

    @property
    def asks_opinion(self) -> bool:
        """Does it want a label or polarities? Records in a language that the model does not read
        have only a guess at it, and no count holds them."""
        wanted = (self.label, self.min_polarity, self.max_polarity)
        return any(each is not None for each in wanted)

    @property
    def asks_scores(self) -> bool:
        """Does it want anything of the score, and not of the record alone?"""
        return self.asks_opinion or self.provisional is not None or self.scorer is not None


def ask(engine: Engine, wanted: ScoreFilter) -> Iterator[Row]:
    """Current sentiment, streamed."""
    return _stream(engine, statement(wanted))


def require_label(engine: Engine, label: str | None) -> None:
    """Raises Unknown for a label that no score ever had: a typo is no empty answer."""
    if label is None or label in LABELS:
        return
    with database.transaction(engine) as connection:
        # The second condition is the index's.
        is_own = SCORES.c.label.not_in(sa.literal_column(f"'{each}'") for each in LABELS)
        own = connection.scalar(sa.select(sa.exists().where(SCORES.c.label == label, is_own)))
    if not own:
        raise Unknown(f"No score has the label {label!r}.", hint=words.instead(label, LABELS))


def statement(wanted: ScoreFilter) -> Select[Any]:
    """Current sentiment as a filter wants it. Raises Misasked for an unknown order, and for bounds
    that nothing lies between."""
    c = CURRENT_SENTIMENT.c
    if wanted.order not in ORDERS:
        raise Misasked(
            f"The order {wanted.order!r} is unknown.", hint=words.instead(wanted.order, ORDERS)
        )
    _require_sense(wanted)
    by_score: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        (wanted.label, c.label.__eq__),
        (wanted.provisional, c.provisional.is_),
        (wanted.scorer, c.scorer.__eq__),
        (wanted.min_polarity, c.polarity.__ge__),
        (wanted.max_polarity, c.polarity.__le__),
    ]
    conditions = [condition(value) for value, condition in by_score if value is not None]
    if wanted.asks_opinion:
        conditions.append(c.language_supported)
    among = wanted.among
    if among is None and not wanted.asks_scores and wanted.order in BY_TIME:
        among = wanted.limit
    if among is None:
        conditions += _of_record(wanted, CURRENT_SENTIMENT)
    else:
        conditions.append(c.record_id.in_(by_time(wanted, among)))
    chosen = sa.select(CURRENT_SENTIMENT).where(*conditions)
    return chosen.order_by(ORDERS[wanted.order], c.record_id).limit(wanted.limit)


def _require_sense(wanted: ScoreFilter) -> None:
    """Raises Misasked for what no score can be."""
    if wanted.scorer is not None and wanted.scorer not in SCORERS:
        raise Misasked(
            f"The scorer {wanted.scorer!r} is unknown.", hint=words.instead(wanted.scorer, SCORERS)
        )
    if wanted.provisional not in (None, True, False):
        raise Misasked("Provisional is true, false or not asked for.")
    low, high = wanted.min_polarity, wanted.max_polarity
    for bound in (low, high):
        if bound is not None and not -1 <= bound <= 1:
            raise Misasked(f"Polarities are from -1 to 1; {bound} is outside.")
    if low is not None and high is not None and low > high:
        raise Misasked(f"The minimum polarity {low} is above the maximum {high}.")
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise Misasked("The period ends before it begins.")
    if wanted.limit is not None and wanted.limit < 1:
        raise Misasked(f"A limit is 1 or more, not {wanted.limit}.")


def is_outermost(wanted: ScoreFilter) -> bool:
    """Does it want the outermost records of some days, and nothing else of them?"""
    whole_days = wanted.since is not None and wanted.until is not None
    by_score = wanted.order not in BY_TIME
    by_text = wanted.text is not None or wanted.words is not None
    return by_score and whole_days and not (wanted.asks_scores or by_text)


def extremes(engine: Engine, order: Extreme, count: int, **scope: Any) -> Sequence[Row]:
    """The `count` (at most `MOST`) most negative or most positive records: `outermost` says how."""
    with database.transaction(engine) as connection:
        return [
            dict(row) for row in connection.execute(outermost(order, count, **scope)).mappings()
        ]


def outermost(
    order: Extreme,
    count: int,
    *,
    since: date,
    until: date,
    source: str | None = None,
    tag: tuple[str, str] | None = None,
) -> Select[Any]:
    """The outermost records of some days, of a source, of a tag's value: of all of them, as of the
    last run, by an index.

    Each row of the view has the `MOST` outermost of some of a day's records. So the rows with the
    `count` outermost ends hold the `count` outermost records of them all.
    """
    assert count <= MOST
    e, c = EXTREMES.c, CURRENT_SENTIMENT.c
    lowest = order == "most-negative"
    end, ids = (e.lowest.asc(), e.lowest_ids) if lowest else (e.highest.desc(), e.highest_ids)
    name, value = tag or ("", "")
    rows = sa.select(ids.label("ids")).where(
        e.tag == name, e.value == value[:TAG_SHOWN], e.day >= since, e.day < until
    )
    if source is None:
        rows = rows.where(e.source_id.in_(sa.select(SOURCES.c.id)))
    else:
        rows = rows.where(e.source_id == sa.func.analytics.source_id(source))
    first = rows.order_by(end, ids[1]).limit(count).subquery()
    candidates = sa.select(sa.func.unnest(first.c.ids))
    found = sa.select(CURRENT_SENTIMENT).where(
        c.record_id.in_(candidates), c.polarity.is_not(None), c.language_supported
    )
    return found.order_by(ORDERS[order], c.record_id).limit(count)


def by_time(wanted: ScoreFilter, count: int) -> Select[Any]:
    """Ids of the newest records as a filter wants them, whatever their score; of the oldest, where
    they come first. By an index, source by source: nothing else is looked at."""
    r = RECORDS.c
    oldest_first = wanted.order == "oldest"

    def in_order(moment: ColumnElement[Any]) -> ColumnElement[Any]:
        return moment.asc() if oldest_first else moment.desc()

    chosen = sa.select(r.record_id, r.moment).order_by(in_order(r.moment), r.record_id).limit(count)
    if wanted.source is not None:
        return sa.select(chosen.where(*_of_record(wanted, RECORDS)).subquery().c.record_id)
    of_one = chosen.where(r.source_id == SOURCES.c.id, *_of_record(wanted, RECORDS)).lateral()
    merged = sa.select(of_one.c.record_id).select_from(SOURCES.join(of_one, sa.true()))
    return merged.order_by(in_order(of_one.c.moment), of_one.c.record_id).limit(count)


def _of_record(wanted: ScoreFilter, view: sa.Table) -> list[ColumnElement[bool]]:
    """What a filter wants of a record, whatever its score."""
    c = view.c
    conditions: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        # By id: joined by name, PostgreSQL would sort the whole source for its newest hundred.
        (wanted.source, lambda name: c.source_id == sa.func.analytics.source_id(name)),
        (wanted.since, c.moment.__ge__),
        (wanted.until, c.moment.__lt__),
        # Cut, as the roll-ups cut them.
        (
            wanted.tag,
            lambda tag: sa.func.left(c.tags[tag[0]].astext, TAG_SHOWN) == tag[1][:TAG_SHOWN],
        ),
        (wanted.text, lambda text: c.text.icontains(text, autoescape=True)),
        (wanted.words, lambda words: sa.func.analytics.matches(c.text, words)),
    ]
    return [condition(value) for value, condition in conditions if value is not None]


def _stream(engine: Engine, statement: Select[Any]) -> Iterator[Row]:
    with database.transaction(engine) as connection:
        result = connection.execution_options(yield_per=1000).execute(statement)
        for row in result.mappings():
            yield dict(row)
