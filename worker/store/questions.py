"""What analysts ask: by day, by source, by tag, one record whole.

Everything here reads schema `analytics` alone, so that the analyst's role is enough: the page, the
API, the report and the assistants' tools ask nothing else. Sums by day come from the roll-ups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Any, Self

import psycopg
import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine, Select, Table
from sqlalchemy.exc import SQLAlchemyError

from worker.errors import Misasked, Unknown
from worker.polarity import net
from worker.store import database, scores
from worker.store.scores import Row, ScoreFilter
from worker.store.views import (
    BACKFILLS,
    CURRENT_SENTIMENT,
    DAILY_BY_TAG,
    DAILY_SENTIMENT,
    OVERRIDES,
    PENDING_WORK,
    RECORDS,
    REFUSED,
    REVISIONS,
    SCORES,
)

BINS = 20
"""Of the distribution: a tenth of polarity each."""

LANGUAGES_OF = 1_000
"""Newest records that are asked for their language."""

SAMPLE = 10_000
"""Records of which the distribution is drawn, at most: the newest."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is about: days (UTC) from `since` on and before `until`."""

    since: date
    until: date
    source: str | None = None
    tag: str | None = None
    """A tag's name; with it a `value`."""
    value: str | None = None

    @property
    def days(self) -> int:
        return (self.until - self.since).days

    def before(self) -> Self:
        """As many days, just before (fewer, where time itself begins)."""
        days = min(self.until - self.since, self.since - date.min)
        return replace(self, since=self.since - days, until=self.since)

    def on(self, **changes: Any) -> Self:
        return replace(self, **changes)

    def records(self, **more: Any) -> ScoreFilter:
        """The same as a filter of records."""
        return ScoreFilter(
            source=self.source,
            tag=(self.tag, self.value) if self.tag and self.value is not None else None,
            since=_midnight(self.since),
            until=_midnight(self.until),
            **more,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Records counted. Shares and `net` are of the scored ones: `records` less `unscored`."""

    records: int = 0
    positive: int = 0
    neutral: int = 0
    negative: int = 0
    provisional: int = 0
    """Scored by TextBlob until the model answers."""
    unscored: int = 0
    rescored: int = 0
    """By more than one model or version."""
    overridden: int = 0
    """Judged by a person."""
    mean_polarity: float | None = None
    """From -1 to 1; None of none."""
    net: float | None = None
    """Share of positive less share of negative, from -1 to 1."""
    net_low: float | None = None
    """Of its 95 % interval."""
    net_high: float | None = None

    @property
    def scored(self) -> int:
        return self.records - self.unscored


@dataclass(frozen=True, slots=True, kw_only=True)
class Day(Tally):
    """One day, UTC."""

    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Tally):
    """One source, or one value of a tag."""

    name: str


@dataclass(frozen=True, slots=True)
class Bin:
    """Records whose polarity is from `low` on, and below `high`."""

    low: float
    high: float
    final: int
    provisional: int


@dataclass(frozen=True, slots=True)
class Whole:
    """One record with everything that was ever said of it, the newest first."""

    record: Row
    scores: Sequence[Row]
    revisions: Sequence[Row]
    overrides: Sequence[Row]


_COUNTS = (
    *("records", "positive", "neutral", "negative"),
    *("provisional", "unscored", "rescored", "overridden"),
)


def extent(
    engine: Engine, source: str | None = None, *, until: date = date.max
) -> tuple[date, date] | None:
    """The first day that has records and the last, before `until`; None if there is none."""
    d = DAILY_SENTIMENT.c
    statement = sa.select(sa.func.min(d.day), sa.func.max(d.day)).where(d.day < until)
    if source is not None:
        statement = statement.where(d.source == source)
    with database.transaction(engine) as connection:
        first, last = connection.execute(statement).one()
    return (first, last) if first else None


def days(engine: Engine, scope: Scope) -> list[Day]:
    """The days that have records, the oldest first."""
    view = _view(scope)
    statement = _sums(view, scope, view.c.day).order_by(view.c.day)
    return [Day(day=row["key"], **_tally(row)) for row in _all(engine, statement)]


def sources(engine: Engine, scope: Scope) -> list[Group]:
    """Each source that has records, by name."""
    view = _view(scope)
    statement = _sums(view, scope, view.c.source).order_by(view.c.source)
    return [Group(name=row["key"], **_tally(row)) for row in _all(engine, statement)]


def tags(engine: Engine, scope: Scope) -> list[str]:
    """The names of the tags that records carry."""
    c = DAILY_BY_TAG.c
    statement = sa.select(c.tag).where(*_within(DAILY_BY_TAG, scope.on(tag=None))).distinct()
    return [row["tag"] for row in _all(engine, statement.order_by(c.tag))]


def values(engine: Engine, scope: Scope, tag: str, *, limit: int | None = 50) -> list[Group]:
    """The values of a tag, that with most records first."""
    c = DAILY_BY_TAG.c
    statement = _sums(DAILY_BY_TAG, scope.on(tag=None, value=None), c.value).where(c.tag == tag)
    ordered = statement.order_by(sa.desc("records"), c.value).limit(limit)
    return [Group(name=row["key"], **_tally(row)) for row in _all(engine, ordered)]


def total(of: Iterable[Tally]) -> Tally:
    """Tallies added up."""
    found = list(of)
    counts = {name: sum(getattr(each, name) for each in found) for name in _COUNTS}
    weighed = sum((each.mean_polarity or 0.0) * each.scored for each in found)
    scored = counts["records"] - counts["unscored"]
    return Tally(**_tally(counts | {"mean_polarity": weighed / scored if scored else None}))


def distribution(engine: Engine, scope: Scope) -> tuple[list[Bin], int]:
    """Scored records by polarity in `BINS` equal bins, and how many those are: the newest
    `SAMPLE` of the scope at most."""
    newest = scores.statement(scope.records(limit=SAMPLE)).subquery()
    # Rounded: -0.8 is a little less than that as a double, and belongs into the bin from -0.8 on.
    place = sa.func.floor(sa.func.round(sa.cast((newest.c.polarity + 1) / 2 * BINS, sa.Numeric), 9))
    at = sa.func.least(BINS - 1, sa.cast(place, sa.Integer))
    statement = (
        sa.select(
            at.label("bin"),
            sa.func.count().filter(~newest.c.provisional).label("final"),
            sa.func.count().filter(newest.c.provisional).label("provisional"),
        )
        .where(newest.c.polarity.is_not(None))
        .group_by(sa.text("bin"))
    )
    found = {row["bin"]: row for row in _all(engine, statement)}
    width = 2 / BINS
    bins = [
        Bin(
            round(n * width - 1, 6),
            round((n + 1) * width - 1, 6),
            found.get(n, {}).get("final", 0),
            found.get(n, {}).get("provisional", 0),
        )
        for n in range(BINS)
    ]
    return bins, sum(b.final + b.provisional for b in bins)


def whole(engine: Engine, record_id: int) -> Whole:
    """A record and its history. Raises Unknown where there is none."""
    c = CURRENT_SENTIMENT.c
    found = _all(engine, sa.select(CURRENT_SENTIMENT).where(c.record_id == record_id))
    if not found:
        raise Unknown(f"There is no record {record_id}.")
    record = found[0]
    scores = sa.select(SCORES).where(SCORES.c.record_id == record_id)
    revisions = sa.select(REVISIONS).where(REVISIONS.c.record_id == record_id)
    overrides = sa.select(OVERRIDES).where(
        OVERRIDES.c.source == record["source"], OVERRIDES.c.external_id == record["external_id"]
    )
    return Whole(
        record,
        _all(engine, scores.order_by(SCORES.c.scored_at.desc())),
        _all(engine, revisions.order_by(REVISIONS.c.revision.desc())),
        _all(engine, overrides.order_by(OVERRIDES.c.id.desc())),
    )


def quarantine_size(engine: Engine, source: str | None = None) -> int:
    """How many rows are in quarantine."""
    statement = sa.select(sa.func.count().label("rows")).select_from(REFUSED)
    if source is not None:
        statement = statement.where(REFUSED.c.source == source)
    return int(_all(engine, statement)[0]["rows"])


def pending(engine: Engine) -> list[Row]:
    """What waits, by source."""
    return _all(engine, sa.select(PENDING_WORK).order_by(PENDING_WORK.c.source))


def backfills(engine: Engine, *, limit: int = 50) -> list[Row]:
    """The newest first."""
    return _all(engine, sa.select(BACKFILLS).order_by(BACKFILLS.c.id.desc()).limit(limit))


def languages(engine: Engine, scope: Scope) -> list[Row]:
    """Of the newest `LANGUAGES_OF`, how many say which language; None: the source does not."""
    newest = scores.newest(scope.records(), LANGUAGES_OF)
    r = RECORDS.c
    statement = sa.select(r.language, sa.func.count().label("records"))
    return _all(engine, statement.where(r.record_id.in_(newest)).group_by(r.language))


def free(engine: Engine, question: str) -> tuple[Sequence[str], list[Row]]:
    """The columns and rows of a statement of somebody's own. Raises Misasked with PostgreSQL's own
    words where it cannot be answered."""
    try:
        with database.transaction(engine) as connection:
            found = connection.execute(sa.text(question.replace(":", r"\:")))
            return tuple(found.keys()), [dict(row) for row in found.mappings()]
    except (psycopg.Error, SQLAlchemyError, UnicodeError) as error:
        said = str(error).strip().splitlines()[0]
        raise Misasked(f"PostgreSQL cannot answer that: {said}") from error


def _view(scope: Scope) -> Table:
    return DAILY_BY_TAG if scope.tag else DAILY_SENTIMENT


def _within(view: Table, scope: Scope) -> list[ColumnElement[bool]]:
    c = view.c
    conditions = [c.day >= scope.since, c.day < scope.until]
    if scope.source is not None:
        conditions.append(c.source_id == sa.func.analytics.source_id(scope.source))
    if scope.tag is not None:
        conditions += [c.tag == scope.tag, c.value == scope.value]
    return conditions


def _sums(view: Table, scope: Scope, key: ColumnElement[Any]) -> Select[Any]:
    c = view.c
    scored = c.records - c.unscored
    mean = sa.func.sum(c.mean_polarity * scored) / sa.func.nullif(sa.func.sum(scored), 0)
    counts = [sa.cast(sa.func.sum(c[name]), sa.BigInteger).label(name) for name in _COUNTS]
    chosen = sa.select(key.label("key"), *counts, mean.label("mean_polarity"))
    return chosen.where(*_within(view, scope)).group_by(key)


def _tally(row: Row) -> dict[str, Any]:
    """The fields of a Tally from what was counted."""
    found = net(row["positive"], row["neutral"], row["negative"])
    nets = {"net": found.value, "net_low": found.low, "net_high": found.high} if found else {}
    known = {each.name for each in fields(Tally)}
    return {name: value for name, value in row.items() if name in known} | nets


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _all(engine: Engine, statement: Select[Any]) -> list[Row]:
    with database.transaction(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]
