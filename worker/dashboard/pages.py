"""The pages, made here and sent whole: they work without scripts; htmx spares the reload.

Filters live in the address. Text of records is escaped by the templates, always.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import Engine

from worker.dashboard.asking import Asked, Database, Filters, Name, Records, known_filters
from worker.errors import Misasked, Unknown
from worker.insight import report, saying, summary, wording
from worker.insight import scope as asked
from worker.insight.charts import named
from worker.insight.scope import Iso
from worker.store import reading
from worker.store.analytics import questions, record_questions
from worker.store.analytics.tallies import Scope

router = APIRouter(
    include_in_schema=False,
    default_response_class=HTMLResponse,
    dependencies=[Depends(known_filters)],
)

VALUES = 12
"""Values of each tag on a day's page."""

OUTERMOST = 10
"""Most negative, and most positive, records of a day."""

PAGES = (
    ("/", "Overview"),
    ("/terms", "What upset them"),
    ("/search", "Search"),
    ("/review", "Review"),
    ("/work", "Runs and backfills"),
    ("/quarantine", "Quarantine"),
)

COMPARISONS = (
    ("labels", "other labels"),
    ("values", "other values of the tag"),
    ("before", "as many days before"),
)

_TEMPLATES = Environment(
    loader=PackageLoader("worker.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"ranked": questions.RANKED, "few": report.FEW_NOTE}
_TEMPLATES.filters |= {
    "signed": wording.signed,
    "count": lambda n: "-" if n is None else f"{n:,}",
    "share": wording.share,
    "moment": lambda when: f"{when:%Y-%m-%d %H:%M}" if when else "-",
    "brief": lambda text: wording.brief(wording.legible(text)),
    "segment": lambda text: quote(str(text), safe=""),
    "query": lambda wanted: urlencode({k: v for k, v in wanted.items() if v is not None}),
}


def page(request: Request, template: str, title: str, **more: Any) -> HTMLResponse:
    """A template of `templates/`, filled."""
    found = _TEMPLATES.get_template(f"{template}.html.j2").render(
        title=title, pages=PAGES, path=request.url.path, **more
    )
    return HTMLResponse(found)


def failure(request: Request, status: int, words: str, hint: str = "") -> HTMLResponse:
    """An error as a page."""
    found = page(request, "failure", f"{status}", words=words, hint=hint)
    found.status_code = status
    return found


@router.get("/")
def overview(request: Request, engine: Database, filters: Filters) -> Response:
    """A period against the one before."""
    scope = filters.scope(engine)
    found = summary.summarise(engine, scope)
    document = report.compose(found, datetime.now(UTC))
    return page(
        request,
        "overview",
        document.title,
        report=document,
        days=list(reversed(found.days)),
        sources=found.sources,
        charts=named.chosen(scope),
        **_filtering(engine, filters, scope),
    )


@router.get("/sources/{name:path}")
def source(
    request: Request, engine: Database, filters: Filters, name: Annotated[str, Path()]
) -> Response:
    """The overview of one source."""
    if filters.source not in (None, name):
        raise Misasked(f"The page of {name!r} cannot show {filters.source!r}.")
    narrowed = replace(filters, source=name)
    return overview(request, engine, narrowed)


@router.get("/days/{day}")
def a_day(
    request: Request, engine: Database, filters: Filters, day: Annotated[date, Iso]
) -> Response:
    """One day: by source and tag, and what was said."""
    if {filters.since, filters.until} - {None, day}:
        raise Misasked(f"This page is of {day} alone.", hint="Take since and until away.")
    asked = replace(filters, since=day, until=day)
    scope = asked.scope(engine)
    tags = questions.tags(engine, scope) if not scope.tag else []
    groups = [("source", questions.ranked(questions.sources(engine, scope)))]
    groups += [(tag, questions.values(engine, scope, tag, limit=VALUES)) for tag in tags]
    total = questions.total(questions.days(engine, scope))
    worst = record_questions.extremes(engine, scope, "most-negative", OUTERMOST)
    best = record_questions.extremes(engine, scope, "most-positive", OUTERMOST)
    return page(
        request,
        "day",
        f"{day:%A, %-d %B %Y}",
        day=day,
        before=max(day, date(1, 1, 2)) - timedelta(days=1),
        after=min(day, date(9999, 12, 30)) + timedelta(days=1),
        total=total,
        groups=groups,
        shown=VALUES,
        worst=worst,
        best=best,
        filters=asked,
    )


@router.get("/records/{record_id}")
def a_record(
    request: Request, engine: Database, record_id: Annotated[int, Path(ge=1, lt=2**63)]
) -> Response:
    """One record with all its scores and their history."""
    found = record_questions.whole(engine, record_id)
    return page(request, "record", f"Record {found.record['external_id']}", whole=found)


@router.get("/search")
def search(request: Request, engine: Database, filters: Filters, wanted: Records) -> Response:
    """Records by words and filters; without dates, of any day."""
    scope = filters.scope(engine, ever=True)
    found = asked.search(engine, wanted.filter(scope))
    return page(
        request,
        "search",
        "Search",
        rows=found.rows,
        among=found.among,
        at_most=found.at_most,
        wanted=wanted,
        **_filtering(engine, filters, scope),
    )


@router.get("/terms")
def terms(
    request: Request,
    engine: Database,
    filters: Filters,
    label: Name = "negative",
    against: saying.Against | None = None,
) -> Response:
    """What is said more in some records than in others."""
    scope = filters.scope(engine)
    found = saying.compare(engine, scope, label=None if label == "any" else label, against=against)
    return page(
        request,
        "terms",
        "What upset them" if label == "negative" else "What is said more",
        compared=found,
        label=label,
        choices=[each for each in COMPARISONS if scope.tag or each[0] != "values"],
        **_filtering(engine, filters, scope),
    )


@router.get("/work")
def work(request: Request, engine: Database) -> Response:
    """What waits, backfills in progress, the last runs."""
    return page(
        request,
        "work",
        "Runs and backfills",
        pending=questions.pending(engine),
        backfills=questions.backfills(engine, limit=20),
        runs=reading.runs(engine, source=None, limit=30),
    )


@router.get("/quarantine")
def quarantine(request: Request, engine: Database, source: Name = None) -> Response:
    """What could not be read or scored."""
    if source:
        reading.require_source(engine, source)
    rows = reading.quarantine(engine, source=source or None, limit=200)
    return page(request, "quarantine", "Quarantine", rows=rows, source=source)


@router.get("/charts/{name}.svg")
async def chart(
    request: Request,
    engine: Database,
    filters: Filters,
    name: Annotated[str, Path()],
    dark: Annotated[bool, Query()] = False,
    narrow: Annotated[bool, Query(description="For a screen of 360 pixels.")] = False,
) -> Response:
    """A chart of the filters' scope."""
    if name not in named.CHARTS:
        raise Unknown(f"There is no chart {name!r}.")
    scope = await run_in_threadpool(filters.scope, engine)
    found = await run_in_threadpool(named.CHARTS[name].ask, engine, scope)
    picture = await request.app.state.renderer.draw(name, found, scope, dark=dark, narrow=narrow)
    return Response(
        picture.svg, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=30"}
    )


@router.get("/static/htmx.js")
def htmx() -> Response:
    """https://htmx.org, as its package ships it."""
    script = files("js_lib_htmx").joinpath("static", "htmx", "htmx.min.js").read_bytes()
    return Response(
        script, media_type="text/javascript", headers={"Cache-Control": "private, max-age=86400"}
    )


def _filtering(engine: Engine, filters: Asked, scope: Scope) -> Mapping[str, Any]:
    """What the form of filters shows."""
    return {"filters": filters, "scope": scope, "names": reading.source_names(engine)}
