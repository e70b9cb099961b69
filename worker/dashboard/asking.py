"""What the address asks for: the same filters for pages, pictures and the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from pydantic import BeforeValidator
from sqlalchemy import Engine

from worker.errors import Misasked
from worker.insight.scope import Iso, Text, scope_of
from worker.store.analytics.scores import Order, ScoreFilter
from worker.store.analytics.tallies import Scope

Name = Annotated[Text | None, Query(max_length=300)]
Day = Annotated[date | None, Iso]


def known_filters(request: Request) -> None:
    """Raises Misasked for a filter that the address names and nothing reads: everything would be
    shown as its answer."""
    names: set[str] = set()
    parts = [request.scope["route"].dependant]
    while parts:
        part = parts.pop()
        names |= {parameter.alias for parameter in part.query_params}
        parts += part.dependencies
    if strange := sorted(request.query_params.keys() - names):
        there = ", ".join(sorted(names)) or "none"
        raise Misasked(f"There is no filter {strange[0]!r} here.", hint=f"There are: {there}.")
    for name in request.query_params:
        if len(request.query_params.getlist(name)) > 1:
            raise Misasked(f"The filter {name!r} is there more than once.", hint="Ask for each.")


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters of an address."""

    source: str | None
    since: date | None
    until: date | None
    tag: str | None
    value: str | None

    def scope(self, engine: Engine, *, ever: bool = False) -> Scope:
        """Raises Unknown for a source that nobody knows, Misasked for what makes no sense."""
        return scope_of(
            engine, self.source, self.since, self.until, self.tag, self.value, ever=ever
        )

    def query(self, **more: Any) -> str:
        """The address's query with these filters, and others besides or instead."""
        wanted = {name: getattr(self, name) for name in self.__slots__} | more
        return urlencode({k: v for k, v in wanted.items() if v is not None})


def asked(
    source: Annotated[Name, Query(description="The source's name.")] = None,
    since: Annotated[Day, Query(description="The first day (UTC).")] = None,
    until: Annotated[Day, Query(description="The last day.")] = None,
    tag: Annotated[Name, Query(description="A tag's name; with it a value.")] = None,
    value: Annotated[Name, Query(description="The tag's value.")] = None,
) -> Asked:
    return Asked(source or None, since, until, tag or None, value)


Filters = Annotated[Asked, Depends(asked)]


def engine_of(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


Database = Annotated[Engine, Depends(engine_of)]


def scoped(engine: Database, filters: Filters, response: Response) -> Scope:
    """The scope that is meant. Its days are in the header `Sentiment-Period` (first/last, ISO
    8601): without `since` and `until` nobody else would know them."""
    scope = filters.scope(engine)
    last = scope.until - timedelta(days=1)
    response.headers["Sentiment-Period"] = f"{scope.since}/{last}"
    return scope


Scoped = Annotated[Scope, Depends(scoped)]


@dataclass(frozen=True, slots=True)
class RecordsAsked:
    """Filters of records, besides those of `Asked`."""

    label: str | None
    words: str | None
    scorer: str | None
    provisional: bool | None
    min_polarity: float | None
    max_polarity: float | None
    order: str
    limit: int

    def filter(self, scope: Scope) -> ScoreFilter:
        return scope.records(
            label=self.label,
            words=self.words,
            scorer=self.scorer,
            provisional=self.provisional,
            min_polarity=self.min_polarity,
            max_polarity=self.max_polarity,
            order=self.order,
            limit=self.limit,
        )


def _none(value: object) -> object:
    """A form's empty field asks for nothing."""
    return None if value == "" else value


_Polarity = Annotated[float | None, BeforeValidator(_none), Query(ge=-1, le=1)]


def records_asked(
    label: Name = None,
    words: Annotated[
        Name, Query(description="Words of the text, as a search engine reads them (English).")
    ] = None,
    scorer: Annotated[
        Literal["lambda", "textblob", "person"] | None, BeforeValidator(_none)
    ] = None,
    provisional: Annotated[bool | None, BeforeValidator(_none)] = None,
    min_polarity: _Polarity = None,
    max_polarity: _Polarity = None,
    order: Annotated[Order, BeforeValidator(lambda value: value or "newest")] = "newest",
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> RecordsAsked:
    return RecordsAsked(
        label=label.lower() if label else None,
        words=words or None,
        scorer=scorer,
        provisional=provisional,
        min_polarity=min_polarity,
        max_polarity=max_polarity,
        order=order,
        limit=limit,
    )


Records = Annotated[RecordsAsked, Depends(records_asked)]

ERRORS: Mapping[int | str, dict[str, Any]] = {
    400: {"description": "What was asked makes no sense: a period that ends before it begins."},
    404: {"description": "There is nothing of that name."},
    503: {"description": "The database does not answer, or not in time."},
}
