"""Records that are drawn for people to review: at random for estimates, and where it helps most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import ConfigurationError
from worker.store import database
from worker.store.analytics.views import REVIEW_ITEMS, REVIEWS
from worker.store.tables import REVIEW, REVIEW_ITEM

Row = Mapping[str, Any]

RANDOM, UNSURE, VARIED = "random", "unsure", "varied"
"""Why a record was drawn. Estimates are made from the random ones alone."""

SHARES = {RANDOM: 0.5, UNSURE: 0.25, VARIED: 0.25}

LOOKED_AT = 10_000
"""Newest records among which the unsure and the varied ones are chosen."""

# What a machine said and nobody has corrected, in a language that it reads; a model's own labels by
# their polarity, as the roll-ups count them.
_ELIGIBLE = """
    SELECT c.record_id, r.content_hash, c.score, c.language, length(c.text) AS size,
           c.model || ' ' || c.model_version AS model, c.moment,
           CASE WHEN c.machine_label IN ('negative', 'neutral', 'positive') THEN c.machine_label
                WHEN c.machine_polarity >= 1.0 / 3 THEN 'positive'
                WHEN c.machine_polarity > -1.0 / 3 THEN 'neutral' ELSE 'negative' END AS label
    FROM analytics.current_sentiment c
    JOIN sentiment.record r ON r.id = c.record_id
    WHERE c.source_id = :source AND c.machine_label IS NOT NULL AND NOT c.provisional
      AND c.language_supported AND c.overridden_by IS NULL
      AND c.moment >= coalesce(CAST(:since AS timestamptz), '-infinity')
      AND c.moment < coalesce(CAST(:until AS timestamptz), 'infinity')
"""

_COUNTED = f"""
SELECT count(*) FILTER (WHERE label = 'negative') AS negative,
       count(*) FILTER (WHERE label = 'neutral') AS neutral,
       count(*) FILTER (WHERE label = 'positive') AS positive
FROM ({_ELIGIBLE}) eligible
"""  # noqa: S608  only _ELIGIBLE goes in

_COLUMNS = "record_id, content_hash, label, score, model, language"

# Each part leaves out what the parts before it have drawn.
_CHOSEN = {
    RANDOM: f"SELECT {_COLUMNS} FROM ({_ELIGIBLE}) e ORDER BY random() LIMIT :count",  # noqa: S608
    UNSURE: f"""
        SELECT {_COLUMNS} FROM (
            SELECT * FROM ({_ELIGIBLE}) e ORDER BY moment DESC LIMIT {LOOKED_AT}) newest
        WHERE record_id <> ALL(:drawn) ORDER BY score, record_id LIMIT :count""",  # noqa: S608
    VARIED: f"""
        SELECT {_COLUMNS} FROM (
            SELECT *, row_number() OVER (
                PARTITION BY label, language, width_bucket(size, ARRAY[20, 60, 140, 400])
                ORDER BY random()) AS place
            FROM (SELECT * FROM ({_ELIGIBLE}) e ORDER BY moment DESC LIMIT {LOOKED_AT}) newest
            WHERE record_id <> ALL(:drawn)) by_kind
        ORDER BY place, random() LIMIT :count""",  # noqa: S608
}


def draw(
    engine: Engine,
    source_id: int,
    size: int,
    *,
    by: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Draw `size` records, or all there are; returns the draw's id. Raises ConfigurationError
    where there is none."""
    about = {"source": source_id, "since": since, "until": until}
    with database.transaction(engine) as connection:
        counted = dict(connection.execute(sa.text(_COUNTED), about).mappings().one())
        population = sum(counted.values())
        if not population:
            raise ConfigurationError(
                "There is no record to draw from: none of this time has a model's score that"
                " nobody has corrected, in a language that the model reads.",
            )
        review = {"source_id": source_id, "since": since, "until": until, "drawn_by": by}
        inserted = sa.insert(REVIEW).values(**review, **counted).returning(REVIEW.c.id)
        review_id = int(connection.execute(inserted).scalar_one())
        items: list[dict[str, Any]] = []
        for part, share in SHARES.items():
            count = size - len(items) if part == VARIED else round(size * share)
            drawn = [item["record_id"] for item in items]
            found = connection.execute(
                sa.text(_CHOSEN[part]), about | {"count": count, "drawn": drawn}
            ).mappings()
            chance = min(1.0, count / population) if part == RANDOM else None
            items += [dict(row) | {"part": part, "probability": chance} for row in found]
        connection.execute(
            sa.insert(REVIEW_ITEM),
            [
                item | {"review_id": review_id, "number": number}
                for number, item in enumerate(items, 1)
            ],
        )
    return review_id


def newest(engine: Engine, source: str) -> Row | None:
    """The newest draw of a source, if there is one."""
    statement = sa.select(REVIEWS).where(REVIEWS.c.source == source)
    found = database.rows(engine, statement.order_by(REVIEWS.c.id.desc()).limit(1))
    return found[0] if found else None


def items(engine: Engine, review_id: int) -> Sequence[Row]:
    """All records of a draw, in their order."""
    statement = sa.select(REVIEW_ITEMS).where(REVIEW_ITEMS.c.review_id == review_id)
    return database.rows(engine, statement.order_by(REVIEW_ITEMS.c.number))


def skip(engine: Engine, review_id: int, number: int, *, by: str, why: str | None) -> None:
    """Pass a record over; `why` None takes that back."""
    update = sa.update(REVIEW_ITEM).where(
        REVIEW_ITEM.c.review_id == review_id, REVIEW_ITEM.c.number == number
    )
    with database.transaction(engine) as connection:
        connection.execute(update.values(skipped_by=by if why else None, skipped_why=why))
