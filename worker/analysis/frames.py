"""The views of schema `analytics` as DataFrames with typed columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import Engine, Select, Table

from worker import bootstrap
from worker.durations import parse_moment
from worker.errors import ConfigurationError, Misasked
from worker.insight.scope import require
from worker.insight.summary import Summary, period, summarise
from worker.loading import load
from worker.store import database, reading
from worker.store.analytics import adhoc, questions, scores
from worker.store.analytics.scores import ScoreFilter
from worker.store.analytics.tallies import Scope
from worker.store.analytics.views import (
    CURRENT_SENTIMENT,
    DAILY_BY_TAG,
    DAILY_SENTIMENT,
    OVERRIDES,
    RUN_HISTORY,
)

TIMEOUT_S = 60.0
"""Of one question."""

Moment = str | date | datetime | None
"""A time, a day, "2026-01-31", or "7d" for a week ago; without a zone it is UTC."""


@contextmanager
def connect(
    url: str | None = None, *, config: Path | None = None, timeout_s: float = TIMEOUT_S
) -> Iterator[Sentiment]:
    """Stored sentiment, to be asked. `url` is a database; without one it is what the settings
    say (`DATABASE_URL`, `sentiment-worker.toml`), else the embedded database.

    It has the analyst's rights: schema `analytics`, nothing is written, and no statement takes
    longer than `timeout_s` seconds.
    Raises DatabaseUnavailable, SchemaOutdated, ConfigurationError.
    """
    settings = load(config, environ={"DATABASE_URL": url} if url else None).settings
    with bootstrap.open_questions(settings, timeout_s=timeout_s) as engine:
        yield Sentiment(engine)


class Sentiment:
    """Questions to one database. Made by `connect`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def scores(self, **wanted: Any) -> pd.DataFrame:
        """One row a record, as analytics.current_sentiment has it; all of them in memory.

        Keywords: source, label, since, until (of publication, else of arrival), provisional,
        scorer, min_polarity, max_polarity, text (is in it), words (a search engine's query),
        order ("newest", "oldest", "most-negative", "most-positive"), limit. By label or polarity,
        records in a language that their model does not read are left out, as every count does.
        """
        return _frame(self._scores(wanted), CURRENT_SENTIMENT)

    def scores_in_parts(self, rows: int = 50_000, **wanted: Any) -> Iterator[pd.DataFrame]:
        """The same in frames of `rows` rows, one in memory at a time."""
        found = self._scores(wanted)
        while part := list(itertools.islice(found, rows)):
            yield _frame(part, CURRENT_SENTIMENT)

    def daily(
        self, source: str | None = None, since: Moment = None, until: Moment = None
    ) -> pd.DataFrame:
        """One row a source and day: analytics.daily_sentiment, by source and day."""
        self._require(source)
        view = DAILY_SENTIMENT
        return self._ask(
            _in_time(sa.select(view), view, source, since, until).order_by(
                view.c.source, view.c.day
            ),
            view,
        )

    def by_tag(
        self,
        tag: str,
        source: str | None = None,
        since: Moment = None,
        until: Moment = None,
    ) -> pd.DataFrame:
        """One row a source, day and value of a tag: analytics.daily_by_tag."""
        self._require(source)
        questions.require_tag(self._engine, source, tag)
        view = DAILY_BY_TAG
        statement = _in_time(sa.select(view), view, source, since, until)
        ordered = statement.where(view.c.tag == tag).order_by(
            view.c.source, view.c.value, view.c.day
        )
        return self._ask(ordered, view)

    def summary(self, source: str | None = None, **wanted: Any) -> Summary:
        """A period against the one before: what moved it, the records that show it, how far to
        trust it. Keywords: since, until (days), days (7), tag (a name and a value)."""
        return summarise(self._engine, self._scope(source, wanted))

    def chart(self, name: str, source: str | None = None, **wanted: Any) -> Any:
        """A chart as the report and the page have it, for Altair: "trend", "compared", "shares",
        "distribution", "calendar" or "agreement". Keywords as `summary`. Needs the extra `charts`.
        """
        from worker.insight.charts import LIGHT, named

        if name not in named.CHARTS:
            raise ConfigurationError(
                f"There is no chart {name!r}.", hint=f"There are: {', '.join(named.CHARTS)}."
            )
        scope, entry = self._scope(source, wanted), named.CHARTS[name]
        chart, _ = entry.draw(entry.ask(self._engine, scope), scope, LIGHT)
        return chart

    def runs(self, source: str | None = None, limit: int = 1_000) -> pd.DataFrame:
        """The newest runs first: analytics.run_history."""
        self._require(source)
        if limit < 1:
            raise Misasked(f"A limit is 1 or more, not {limit}.")
        return _frame(reading.runs(self._engine, source=source, limit=limit), RUN_HISTORY)

    def overrides(self) -> pd.DataFrame:
        """What people said, the newest first: analytics.overrides."""
        return self._ask(sa.select(OVERRIDES).order_by(OVERRIDES.c.id.desc()), OVERRIDES)

    def sql(self, query: str, **arguments: Any) -> pd.DataFrame:
        """The answer to a query of your own; `:name` stands for the argument of that name."""
        columns, rows = adhoc.ask(self._engine, query, arguments)
        return pd.DataFrame.from_records(rows, columns=list(columns))

    def _scope(self, source: str | None, wanted: Mapping[str, Any]) -> Scope:
        days = {name: _day(wanted[name]) for name in ("since", "until") if name in wanted}
        return period(self._engine, source=source, **(dict(wanted) | days))

    def _scores(self, wanted: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Raises Unknown for a source or a label that nobody knows, Misasked for what no score can
        be."""
        asked = _filter(wanted)
        require(self._engine, asked)
        return scores.ask(self._engine, asked)

    def _require(self, source: str | None) -> None:
        """A typo is no empty answer."""
        if source is not None:
            reading.require_source(self._engine, source)

    def _ask(self, statement: Select[Any], view: Table) -> pd.DataFrame:
        with database.transaction(self._engine) as connection:
            return _frame(connection.execute(statement).mappings(), view)


def _filter(wanted: Mapping[str, Any]) -> ScoreFilter:
    plain: dict[str, Any] = {
        name: _moment(wanted[name]) for name in ("since", "until") if name in wanted
    }
    if isinstance(label := wanted.get("label"), str):
        plain["label"] = label.lower()
    return ScoreFilter(**({"limit": None} | dict(wanted) | plain))


def _in_time(
    statement: Select[Any], view: Table, source: str | None, since: Moment, until: Moment
) -> Select[Any]:
    first, end = _moment(since), _moment(until)
    if first and end and first >= end:
        raise Misasked("The period ends before it begins.")
    if source is not None:
        statement = statement.where(view.c.source == source)
    if first is not None:
        statement = statement.where(view.c.day >= first.astimezone(UTC).date())
    if end is not None:
        statement = statement.where(view.c.day < end.astimezone(UTC).date())
    return statement


def _day(value: Moment) -> date | None:
    found = _moment(value)
    return found.astimezone(UTC).date() if found else None


def _moment(value: Moment) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        return parse_moment(value)
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _frame(rows: Iterable[Mapping[Any, Any]], view: Table) -> pd.DataFrame:
    """Typed by the view's columns, also where there is no row, or nothing but nulls."""
    names = [column.name for column in view.c]
    frame = pd.DataFrame.from_records(
        [tuple(row[name] for name in names) for row in rows], columns=names
    )
    for column in view.c:
        frame[column.name] = _typed(frame[column.name], column.type)
    return frame


def _typed(values: pd.Series, kind: Any) -> pd.Series:
    if isinstance(kind, sa.DateTime):
        return pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]")
    if isinstance(kind, sa.Date):
        return pd.to_datetime(values).astype("datetime64[s]")
    names = {sa.Boolean: "boolean", sa.Double: "float64", sa.Integer: "Int64", sa.Text: "string"}
    for base, name in names.items():
        if isinstance(kind, base):
            return values.astype(name)
    return values.astype("object")
