"""Records that are drawn for people to review: at random for estimates, and where it helps most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.clean import storable
from worker.errors import ConfigurationError
from worker.store import database
from worker.store.analytics.overrides import POLARITY
from worker.store.analytics.views import REVIEW_ITEMS, REVIEWS
from worker.store.tables import REVIEW, REVIEW_ITEM

Row = Mapping[str, Any]

RANDOM, UNSURE, VARIED = "random", "unsure", "varied"
"""Why a record was drawn. Estimates are made from the random ones alone."""

SHARES = {RANDOM: 0.5, UNSURE: 0.25, VARIED: 0.25}

LOOKED_AT = 10_000
"""Newest records among which the unsure and the varied ones are chosen."""

# What a machine said in a language that it reads; a model's own labels by their polarity, as the
# roll-ups count them. Also of records that people have corrected: without those, what is left would
# look better than the source is.
_ELIGIBLE = """
    SELECT c.record_id, r.content_hash, c.score, c.overridden_by, c.language,
           length(c.text) AS size, c.model || ' ' || c.model_version AS model, c.moment,
           CASE WHEN c.machine_label IN ('negative', 'neutral', 'positive') THEN c.machine_label
                WHEN c.machine_polarity >= 1.0 / 3 THEN 'positive'
                WHEN c.machine_polarity > -1.0 / 3 THEN 'neutral' ELSE 'negative' END AS label
    FROM analytics.current_sentiment c
    JOIN sentiment.record r ON r.id = c.record_id
    JOIN sentiment.scorer s ON (s.model, s.version) = (c.model, c.model_version)
    WHERE c.source_id = :source AND c.machine_label IS NOT NULL AND NOT c.provisional
      AND analytics.reads(s.languages, r.language, c.language)
      AND (s.provider <> 'textblob' OR c.overridden_by IS NULL)  -- what was provisional is not told
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
        WHERE record_id <> ALL(:drawn) AND overridden_by IS NULL
        ORDER BY score, record_id LIMIT :count""",  # noqa: S608
    VARIED: f"""
        SELECT {_COLUMNS} FROM (
            SELECT *, row_number() OVER (
                PARTITION BY label, language, width_bucket(size, ARRAY[20, 60, 140, 400])
                ORDER BY random()) AS place
            FROM (SELECT * FROM ({_ELIGIBLE}) e ORDER BY moment DESC LIMIT {LOOKED_AT}) newest
            WHERE record_id <> ALL(:drawn) AND overridden_by IS NULL) by_kind
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
        # What is counted and what is drawn from are the same records.
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        counted = dict(connection.execute(sa.text(_COUNTED), about).mappings().one())
        population = sum(counted.values())
        if not population:
            raise ConfigurationError(
                "There is no record to draw from: none of this time has a final score by a model"
                " that reads its language.",
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


def newest(engine: Engine, source: str, *, judged: bool = False) -> Row | None:
    """The newest draw of a source, if there is one; with `judged` the newest of whose random part
    somebody has judged some."""
    r, i = REVIEWS.c, REVIEW_ITEMS.c
    statement = sa.select(REVIEWS).where(r.source == source)
    if judged:
        some = sa.exists().where(i.review_id == r.id, i.part == RANDOM, i.person_label.is_not(None))
        statement = statement.where(some)
    found = database.rows(engine, statement.order_by(r.id.desc()).limit(1))
    return found[0] if found else None


def items(engine: Engine, review_id: int) -> Sequence[Row]:
    """All records of a draw, in their order."""
    statement = sa.select(REVIEW_ITEMS).where(REVIEW_ITEMS.c.review_id == review_id)
    return database.rows(engine, statement.order_by(REVIEW_ITEMS.c.number))


def is_open(engine: Engine, review_id: int, number: int) -> bool:
    """Is a record still to be judged, by nobody else yet, and as it was drawn?"""
    i = REVIEW_ITEMS.c
    statement = sa.select(sa.exists().where(
        i.review_id == review_id, i.number == number, i.person_label.is_(None),
        i.skipped_why.is_(None), ~i.rewritten,
    ).label("is_open"))  # fmt: skip
    return bool(database.rows(engine, statement)[0]["is_open"])


_SAY = """
WITH said AS (
    UPDATE sentiment.review_item i
    SET said = :label, said_by = :by, said_at = now()
    FROM sentiment.record r
    WHERE i.review_id = :review AND i.number = :number AND i.said IS NULL
      AND i.skipped_why IS NULL AND r.id = i.record_id AND r.content_hash = i.content_hash
    RETURNING i.record_id, i.content_hash
)
INSERT INTO sentiment.override (record_id, content_hash, label, polarity, made_by, why)
SELECT record_id, content_hash, :label, :polarity, :by, 'review' FROM said
"""

_UNSAY = """
WITH before AS (
    SELECT i.record_id, i.content_hash, i.review_id, i.number, i.said
    FROM sentiment.review_item i
    WHERE i.review_id = :review AND i.number = :number AND i.said_by = :by
    FOR UPDATE
), unsaid AS (
    UPDATE sentiment.review_item i
    SET said = NULL, said_by = NULL, said_at = NULL, skipped_why = NULL
    FROM before b WHERE (i.review_id, i.number) = (b.review_id, b.number)
)
INSERT INTO sentiment.override (record_id, content_hash, made_by, why)
SELECT record_id, content_hash, :by, 'review undone' FROM before WHERE said IS NOT NULL
"""


def say(engine: Engine, review_id: int, number: int, label: str, *, by: str) -> bool:
    """What a person says of a drawn record: kept with the draw, and in force as an override. False
    if it was judged meanwhile, or its source has another text by now."""
    values = {"review": review_id, "number": number, "label": label, "by": by}
    with database.transaction(engine) as connection:
        done = connection.execute(sa.text(_SAY), values | {"polarity": POLARITY[label]})
        return done.rowcount == 1


def skip(engine: Engine, review_id: int, number: int, why: str, *, by: str) -> None:
    """Pass a record over, if nobody has judged it."""
    i = REVIEW_ITEM.c
    update = sa.update(REVIEW_ITEM).where(
        i.review_id == review_id, i.number == number, i.said.is_(None)
    )
    with database.transaction(engine) as connection:
        connection.execute(
            update.values(skipped_why=storable(why), said_by=by, said_at=sa.func.now())
        )


def undo(engine: Engine, review_id: int, number: int, *, by: str) -> None:
    """Take back what this person said of a record, or that they passed it over."""
    values = {"review": review_id, "number": number, "by": by}
    with database.transaction(engine) as connection:
        connection.execute(sa.text(_UNSAY), values)
