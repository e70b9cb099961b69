"""Questions about records: one whole, the outermost, a sample of the newest."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import Unknown
from worker.store import database
from worker.store.analytics import scores
from worker.store.analytics.scores import Extreme, Row
from worker.store.analytics.tallies import Bin, Scope, Whole
from worker.store.analytics.views import (
    CURRENT_SENTIMENT,
    OVERRIDES,
    REVISIONS,
    SCORES,
)

BINS = 20
"""Of the distribution: a tenth of polarity each."""


NEWEST = 1_000
"""Newest records that are looked at for their language and model."""


SAMPLE = 10_000
"""Records of which the distribution is drawn, at most: the newest."""


def extremes(engine: Engine, scope: Scope, order: Extreme, count: int) -> Sequence[Row]:
    """The most negative or most positive records of a scope: see `scores.extremes`."""
    return scores.extremes(
        engine,
        order,
        count,
        since=scope.since,
        until=scope.until,
        source=scope.source,
        tag=scope.tag_value,
    )


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
        .where(newest.c.polarity.is_not(None), newest.c.language_supported)
        .group_by(sa.text("bin"))
    )
    found = {row["bin"]: row for row in database.rows(engine, statement)}
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
    found = database.rows(engine, sa.select(CURRENT_SENTIMENT).where(c.record_id == record_id))
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
        database.rows(engine, scores.order_by(SCORES.c.scored_at.desc())),
        database.rows(engine, revisions.order_by(REVISIONS.c.revision.desc())),
        database.rows(engine, overrides.order_by(OVERRIDES.c.id.desc())),
    )


def languages_and_models(engine: Engine, scope: Scope) -> list[Row]:
    """Of the newest `NEWEST` records, how many say which language (None: the source does not) and
    have their score of which model and version."""
    c = CURRENT_SENTIMENT.c
    keys = (c.language, c.language_supported, c.model, c.model_version)
    chosen = scores.by_time(scope.records(), NEWEST)
    statement = sa.select(*keys, sa.func.count().label("records")).group_by(*keys)
    return database.rows(engine, statement.where(c.record_id.in_(chosen)))


def judged(engine: Engine, source: str | None) -> tuple[int, int]:
    """How many records people judged that the machine had scored, and on how many both have the
    same label."""
    o = OVERRIDES.c
    same = sa.func.count().filter(o.label == o.machine_label)
    statement = sa.select(sa.func.count().label("judged"), same.label("agreed")).where(
        o.in_force, o.machine_label.is_not(None)
    )
    if source is not None:
        statement = statement.where(o.source == source)
    with database.transaction(engine) as connection:
        found, agreed = connection.execute(statement).one()
    return found, agreed


def confidence(engine: Engine, scope: Scope) -> list[Row]:
    """How sure each model is, on average, of its labels on the newest `SAMPLE` records of a scope:
    final scores in languages that it reads, and no person's word. `model`, `records`, `mean`."""
    newest = scores.statement(scope.records(limit=SAMPLE)).subquery().c
    model = (newest.model + " " + newest.model_version).label("model")
    statement = (
        sa.select(model, sa.func.count().label("records"), sa.func.avg(newest.score).label("mean"))
        .where(newest.score.is_not(None), ~newest.provisional, newest.language_supported)
        .where(newest.overridden_by.is_(None))
        .group_by(model)
    )
    return database.rows(engine, statement.order_by(sa.desc("records"), model))


def newest(engine: Engine, scope: Scope) -> list[Row]:
    """Text, language and score of the newest `NEWEST` records of a scope that have a text; the
    score is how sure a model is of its final label, else None."""
    c = CURRENT_SENTIMENT.c
    final = sa.case((c.provisional | c.overridden_by.is_not(None), None), else_=c.score)
    chosen = scores.by_time(scope.records(), NEWEST)
    statement = sa.select(c.text, c.language, final.label("score")).where(c.skip_reason.is_(None))
    return database.rows(engine, statement.where(c.record_id.in_(chosen)))
