"""What analysts ask: by day, by source, by tag, one record whole.

Everything here reads schema `analytics` alone, so that the analyst's role is enough: the page, the
API, the report and the assistants' tools ask nothing else. Sums by day come from the roll-ups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine, Select, Table

from worker import words
from worker.errors import Misasked, Unknown
from worker.polarity import net
from worker.store import database
from worker.store.analytics import scores
from worker.store.analytics.scores import Row
from worker.store.analytics.tallies import Day, Group, Scope, Standing, Tally
from worker.store.analytics.views import (
    BACKFILLS,
    DAILY_BY_TAG,
    DAILY_SENTIMENT,
    PENDING_WORK,
    REFUSED,
    SOURCES,
)

NEIGHBOURS = 1_000
"""Names, the most frequent ones, among which the nearest to an unknown one is looked for."""

RANKED = "most negative records first"
"""The order of groups wherever they are listed: a count, so that three records never lead."""

NEWEST_DAYS = 7
"""Days that a question without dates is about, up to the newest record that is not of the
future."""


_COUNTS = (
    *("records", "positive", "neutral", "negative"),
    *("provisional", "unscored", "rescored", "overridden", "unsupported"),
)


def extent(
    engine: Engine,
    source: str | None = None,
    tag: tuple[str, str] | None = None,
    *,
    until: date = date.max,
) -> tuple[date, date] | None:
    """The first and the last day before `until` that have records of the source and the tag's
    value; None if no day has."""
    name, value = tag or (None, None)
    scope = Scope(date.min, until, source, name, value)
    view = _view(scope)
    statement = sa.select(sa.func.min(view.c.day), sa.func.max(view.c.day))
    with database.transaction(engine) as connection:
        first, last = connection.execute(statement.where(*_within(view, scope))).one()
    return (first, last) if first else None


def require_tag(engine: Engine, source: str | None, tag: str, value: str | None = None) -> None:
    """Raises Unknown for a tag that no record of the source (None: of any) ever carried, or for a
    value that the tag never had: a typo is no empty answer."""
    c = DAILY_BY_TAG.c
    of_source = [] if source is None else [c.source_id == sa.func.analytics.source_id(source)]
    of = f" of {source!r}" if source else ""

    def known(*conditions: ColumnElement[bool]) -> bool:
        exists = sa.select(sa.exists().where(*of_source, *conditions).label("known"))
        return bool(database.rows(engine, exists)[0]["known"])

    def names(column: ColumnElement[str], *conditions: ColumnElement[bool]) -> list[str]:
        counted = sa.select(column.label("name")).where(*of_source, *conditions).group_by(column)
        ordered = counted.order_by(sa.func.sum(c.records).desc(), column).limit(NEIGHBOURS)
        return [row["name"] for row in database.rows(engine, ordered)]

    if not known(c.tag == tag):
        raise Unknown(
            f"{tag!r} is not a tag of any record{of}.", hint=words.instead(tag, names(c.tag))
        )
    if value is not None and not known(c.tag == tag, c.value == value[: scores.TAG_SHOWN]):
        raise Unknown(
            f"No record{of} has {tag} = {value!r}.",
            hint=words.instead(value, names(c.value, c.tag == tag)),
        )


def require_words(engine: Engine, wanted: str) -> None:
    """Raises Misasked for words that cannot be searched for: blanks, or what is in every text."""
    query = sa.func.websearch_to_tsquery(sa.literal_column("'english'"), wanted)
    if not database.rows(engine, sa.select(sa.func.numnode(query).label("words")))[0]["words"]:
        raise Misasked(
            f"No word of {wanted!r} can be searched for.",
            hint="Words like 'the' are in every text.",
        )


def days(engine: Engine, scope: Scope) -> list[Day]:
    """The days that have records, the oldest first."""
    view = _view(scope)
    statement = _sums(view, scope, view.c.day).order_by(view.c.day)
    return [Day(day=row["key"], **_tally(row)) for row in database.rows(engine, statement)]


def sources(engine: Engine, scope: Scope) -> list[Group]:
    """Each source that has records, by name."""
    view = _view(scope)
    statement = _sums(view, scope, view.c.source).order_by(view.c.source)
    return [Group(name=row["key"], **_tally(row)) for row in database.rows(engine, statement)]


def tags(engine: Engine, scope: Scope) -> list[str]:
    """The names of the tags that records carry. Raises Misasked for a scope of one tag's value."""
    _require_uncrossed(scope)
    c = DAILY_BY_TAG.c
    statement = sa.select(c.tag).where(*_within(DAILY_BY_TAG, scope)).distinct()
    return [row["tag"] for row in database.rows(engine, statement.order_by(c.tag))]


def values(engine: Engine, scope: Scope, tag: str, *, limit: int | None = 50) -> list[Group]:
    """The values of a tag, in `RANKED` order. Raises Misasked where the scope is another tag's."""
    if scope.tag != tag:
        _require_uncrossed(scope)
    c = DAILY_BY_TAG.c
    statement = _sums(DAILY_BY_TAG, scope, c.value).where(c.tag == tag)
    ordered = statement.order_by(sa.desc("negative"), sa.desc("records"), c.value).limit(limit)
    return [Group(name=row["key"], **_tally(row)) for row in database.rows(engine, ordered)]


def compared(engine: Engine, scope: Scope, by: str | None, *, limit: int = 50) -> list[Group]:
    """Sources, or the values of the tag `by`, side by side, in `RANKED` order. Raises Unknown and
    Misasked."""
    if by is None:
        return ranked(sources(engine, scope))[:limit]
    require_tag(engine, scope.source, by)
    return values(engine, scope, by, limit=limit)


def ranked(groups: Iterable[Group]) -> list[Group]:
    """Groups in `RANKED` order."""
    return sorted(groups, key=lambda g: (-g.negative, -g.records, g.name))


def _require_uncrossed(scope: Scope) -> None:
    """The roll-ups hold one tag at a time: an answer about two would leave one of them out."""
    if scope.tag is not None:
        raise Misasked(
            f"Records with {scope.tag} = {scope.value} cannot be split by another tag yet.",
            hint="Leave out the tag and its value, or the tag to split by.",
        )


def standings(engine: Engine) -> list[Standing]:
    """Every source that has records, that with the newest record first: each with its own newest
    week."""
    d = DAILY_SENTIMENT.c
    last = (
        sa.select(sa.func.max(d.day).label("last"))
        .where(d.source_id == SOURCES.c.id, d.day <= datetime.now(UTC).date())
        .lateral()
    )
    newest = sa.select(SOURCES.c.id, SOURCES.c.name, last.c.last).join_from(
        SOURCES, last, last.c.last.is_not(None)
    )
    n = newest.subquery().c
    is_now = (d.day > n.last - NEWEST_DAYS).label("is_now")
    days = sa.and_(d.day > n.last - 2 * NEWEST_DAYS, d.day <= n.last, d.source_id == n.id)
    counted = _summed(DAILY_SENTIMENT, n.name, n.last, is_now).add_columns(
        sa.func.count(d.day.distinct()).label("days")
    )
    rows = database.rows(engine, counted.where(days))
    with_records = {row["name"]: row["days"] for row in rows if row["is_now"]}
    found = {(row["name"], row["is_now"]): Tally(**_tally(row)) for row in rows}
    lasts = {row["name"]: row["last"] for row in rows}
    return [
        Standing(
            source=name,
            since=day - timedelta(days=NEWEST_DAYS - 1),
            until=day + timedelta(days=1),
            days=with_records[name],
            now=found[name, True],
            before=found.get((name, False), Tally()),
        )
        for name, day in sorted(lasts.items(), key=lambda each: (-each[1].toordinal(), each[0]))
    ]


def total(of: Iterable[Tally]) -> Tally:
    """Tallies added up."""
    found = list(of)
    counts = {name: sum(getattr(each, name) for each in found) for name in _COUNTS}
    weighed = sum((each.mean_polarity or 0.0) * each.scored for each in found)
    scored = counts["records"] - counts["unscored"]
    return Tally(**_tally(counts | {"mean_polarity": weighed / scored if scored else None}))


def quarantine_size(engine: Engine, source: str | None = None) -> int:
    """How many rows are in quarantine."""
    statement = sa.select(sa.func.count().label("rows")).select_from(REFUSED)
    if source is not None:
        statement = statement.where(REFUSED.c.source == source)
    return int(database.rows(engine, statement)[0]["rows"])


def pending(engine: Engine) -> list[Row]:
    """What waits, by source."""
    return database.rows(engine, sa.select(PENDING_WORK).order_by(PENDING_WORK.c.source))


def backfills(engine: Engine, *, limit: int = 50) -> list[Row]:
    """The newest first."""
    return database.rows(engine, sa.select(BACKFILLS).order_by(BACKFILLS.c.id.desc()).limit(limit))


def _view(scope: Scope) -> Table:
    return DAILY_BY_TAG if scope.tag else DAILY_SENTIMENT


def _within(view: Table, scope: Scope) -> list[ColumnElement[bool]]:
    c = view.c
    conditions = [c.day >= scope.since, c.day < scope.until]
    if scope.source is not None:
        conditions.append(c.source_id == sa.func.analytics.source_id(scope.source))
    if scope.tag is not None:
        # Cut, as the roll-ups cut them.
        conditions += [c.tag == scope.tag, c.value == (scope.value or "")[: scores.TAG_SHOWN]]
    return conditions


def _sums(view: Table, scope: Scope, key: ColumnElement[Any]) -> Select[Any]:
    return _summed(view, key.label("key")).where(*_within(view, scope))


def _summed(view: Table, *keys: ColumnElement[Any]) -> Select[Any]:
    """The counts of `Tally`, added up by `keys`."""
    c = view.c
    scored = c.records - c.unscored
    mean = sa.func.sum(c.mean_polarity * scored) / sa.func.nullif(sa.func.sum(scored), 0)
    counts = [sa.cast(sa.func.sum(c[name]), sa.BigInteger).label(name) for name in _COUNTS]
    return sa.select(*keys, *counts, mean.label("mean_polarity")).group_by(*keys)


def _tally(row: Row) -> dict[str, Any]:
    """The fields of a Tally from what was counted."""
    found = net(row["positive"], row["neutral"], row["negative"])
    nets = {"net": found.value, "net_low": found.low, "net_high": found.high} if found else {}
    known = {each.name for each in fields(Tally)}
    return {name: value for name, value in row.items() if name in known} | nets
