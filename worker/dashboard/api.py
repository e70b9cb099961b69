"""The JSON API: the questions of the page, typed by the views' own columns."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, BeforeValidator, create_model
from sqlalchemy import Engine, Table

from worker.dashboard.asking import ERRORS, Database, Filters, Name, Records, Scoped, known_filters
from worker.insight import report, saying, summary
from worker.insight.scope import search
from worker.insight.trust import Trust
from worker.store import reading
from worker.store.analytics import questions, record_questions
from worker.store.analytics.tallies import Bin, Day, Group, Standing, Tally
from worker.store.analytics.views import (
    BACKFILLS,
    CURRENT_SENTIMENT,
    OVERRIDES,
    PENDING_WORK,
    REFUSED,
    REVISIONS,
    RUN_HISTORY,
    SCORES,
    kinds,
)

router = APIRouter(
    prefix="/api/v1",
    tags=["sentiment"],
    responses=dict(ERRORS),
    dependencies=[Depends(known_filters)],
)


def _model(name: str, view: Table) -> Any:
    """A view's row: each column may be null, an interval is in seconds."""
    columns: dict[str, Any] = {
        column: ((Seconds if kind is timedelta else kind) | None, ...)
        for column, kind in kinds(view).items()
    }
    return create_model(name, **columns)


Seconds = Annotated[float, BeforeValidator(timedelta.total_seconds)]


def _many(model: Any) -> Any:
    return list[model]


Record = _model("Record", CURRENT_SENTIMENT)
Score = _model("Score", SCORES)
Revision = _model("Revision", REVISIONS)
Override = _model("Override", OVERRIDES)
Run = _model("Run", RUN_HISTORY)
Backfill = _model("Backfill", BACKFILLS)
Refused = _model("Quarantined", REFUSED)
Pending = _model("Pending", PENDING_WORK)

Limit = Annotated[int, Query(ge=1, le=1000)]


class Trend(BaseModel):
    total: Tally
    before: Tally
    """Of as many days, just before."""
    days: list[Day]


class Distribution(BaseModel):
    bins: list[Bin]
    count: int
    """Of so many newest records."""


Mover: Any = create_model(
    "Mover",
    tag=(str | None, ...),
    name=(str, ...),
    moved=(float, ...),
    now=(Tally, ...),
    before=(Tally, ...),
    records=(_many(Record), ...),
)
Summary: Any = create_model(
    "Summary",
    verdict=(str, ...),
    now=(Tally, ...),
    before=(Tally, ...),
    change=(float | None, ...),
    interval=(tuple[float, float] | None, ...),
    movers=(_many(Mover), ...),
    lowest=(_many(Record), ...),
    standings=(list[Standing], ...),
    trust=(Trust, ...),
)
Whole: Any = create_model(
    "Whole",
    record=(Record, ...),
    scores=(_many(Score), ...),
    revisions=(_many(Revision), ...),
    overrides=(_many(Override), ...),
)


@router.get("/summary", response_model=Summary)
def summarise(engine: Database, scope: Scoped) -> Any:
    """A period against the one before: what moved it, and how far to trust it.

    `interval` is the 95 % interval of `change`; where records are few, its middle is nearer to
    nought than `change`.
    """
    return report.as_json(summary.summarise(engine, scope))


@router.get("/trend")
def trend(engine: Database, scope: Scoped) -> Trend:
    """Day by day, with totals and those of the period before."""
    days = questions.days(engine, scope)
    before = questions.total(questions.days(engine, scope.before()))
    return Trend(total=questions.total(days), before=before, days=days)


@router.get("/compare")
def compare(
    engine: Database,
    scope: Scoped,
    by: Annotated[Name, Query(description="A tag's name; without it, sources.")] = None,
) -> list[Group]:
    """Sources, or the values of a tag, side by side; those with most negative records first, 50 at
    most. Of records with one tag's value another tag cannot be asked yet: 400."""
    return questions.compared(engine, scope, by)


@router.get("/terms")
def terms(
    engine: Database,
    scope: Scoped,
    label: Annotated[Name, Query(description="Of which records; `any` for all.")] = "negative",
    against: Annotated[
        saying.Against | None,
        Query(description="Other labels, other values of the tag (with one, the default), before."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> saying.Compared:
    """What is said more in some records than in others: words and phrases, the clearest first, by
    weighted log-odds (`z`, in standard errors). Only the 50,000 newest records of
    a period are looked at: `looked_at` then says so."""
    wanted = None if label == "any" else label
    return saying.compare(engine, scope, label=wanted, against=against, most=limit)


@router.get("/tags")
def tags(engine: Database, scope: Scoped) -> list[str]:
    """The names of the tags that records carry."""
    return questions.tags(engine, scope)


@router.get("/distribution")
def distribution(engine: Database, scope: Scoped) -> Distribution:
    """Records by polarity."""
    bins, count = record_questions.distribution(engine, scope)
    return Distribution(bins=bins, count=count)


@router.get("/records", response_model=_many(Record))
def records(engine: Database, filters: Filters, wanted: Records, response: Response) -> Any:
    """Records with their current score; without dates, of any day.

    An order by score gives the 20 outermost of them all at most (header `Sentiment-At-Most`). What
    asks for a score besides, or for words in that order, looks among the newest 5,000 (in the order
    `oldest` among the oldest): the header `Sentiment-Among` then says so.
    """
    found = search(engine, wanted.filter(filters.scope(engine, ever=True)))
    if found.among:
        response.headers["Sentiment-Among"] = str(found.among)
    if found.at_most:
        response.headers["Sentiment-At-Most"] = str(found.at_most)
    return found.rows


@router.get("/records/{record_id}", response_model=Whole)
def record(engine: Database, record_id: Annotated[int, Path(ge=1, lt=2**63)]) -> Any:
    """One record with all that was ever said of it."""
    return record_questions.whole(engine, record_id)


@router.get("/runs", response_model=_many(Run))
def runs(engine: Database, source: Name = None, limit: Limit = 50) -> Any:
    """The newest runs first."""
    return reading.runs(engine, source=_known(engine, source), limit=limit)


@router.get("/backfills", response_model=_many(Backfill))
def backfills(engine: Database, limit: Limit = 50) -> Any:
    """The newest first."""
    return questions.backfills(engine, limit=limit)


@router.get("/quarantine", response_model=_many(Refused))
def quarantine(engine: Database, source: Name = None, limit: Limit = 50) -> Any:
    """What could not be read or scored, the newest first."""
    return reading.quarantine(engine, source=_known(engine, source), limit=limit)


@router.get("/pending", response_model=_many(Pending))
def pending(engine: Database) -> Any:
    """What waits, by source."""
    return questions.pending(engine)


def _known(engine: Engine, source: str | None) -> str | None:
    if source:
        reading.require_source(engine, source)
    return source or None
