"""Records that are drawn for people to review: at random for estimates, and where it helps most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.clean import storable
from worker.errors import ConfigurationError, Unknown
from worker.store import database
from worker.store.analytics.views import JUDGEMENTS, REVIEW_ITEMS, REVIEWS
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
    people: int = 1,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Draw `size` records, or all there are, each for so many people to judge; returns the draw's
    id. Raises ConfigurationError where there is none."""
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
        review["people"] = people
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


def to_judge(engine: Engine, review_id: int, by: str) -> Sequence[Row]:
    """Records of a draw that wait for this person, in an order of their own: two people who judge
    at once seldom meet. Those that were rewritten since are left out, and those that they have
    judged, or that need nobody more."""
    i = REVIEW_ITEMS.c
    order = sa.func.md5(sa.literal(f"{by} ") + sa.cast(i.number, sa.Text))
    return database.rows(engine, _open(review_id, by).order_by(order))


def is_open(engine: Engine, review_id: int, number: int, by: str) -> bool:
    """Does a record still wait for this person?"""
    found = _open(review_id, by).where(REVIEW_ITEMS.c.number == number)
    return bool(database.rows(engine, found))


def _open(review_id: int, by: str) -> sa.Select[Any]:
    i, j = REVIEW_ITEMS.c, JUDGEMENTS.c
    same = (j.review_id == i.review_id, j.number == i.number)
    mine = sa.exists().where(*same, j.person == _person(by))
    undecided = (i.person_label.is_(None), i.skipped_why.is_(None), ~i.rewritten)
    return sa.select(REVIEW_ITEMS).where(i.review_id == review_id, *undecided, ~mine)


def judgements(engine: Engine, review_id: int) -> Sequence[Row]:
    """What each person said of each record."""
    j = JUDGEMENTS.c
    statement = sa.select(JUDGEMENTS).where(j.review_id == review_id)
    return database.rows(engine, statement.order_by(j.number, j.said_at))


def last_by(engine: Engine, review_id: int, by: str) -> int | None:
    """The number of the record that this person judged, or passed over, last."""
    j = JUDGEMENTS.c
    statement = sa.select(j.number).where(j.review_id == review_id, j.person == _person(by))
    found = database.rows(engine, statement.order_by(j.said_at.desc(), j.number).limit(1))
    return found[0]["number"] if found else None


def listed(engine: Engine, limit: int) -> Sequence[Row]:
    """The newest draws, with how far they are."""
    r, i = REVIEWS.c, REVIEW_ITEMS.c
    counts = (
        sa.func.count(i.number).label("records"),
        sa.func.count(i.person_label).label("judged"),
        sa.func.count(i.skipped_why).label("skipped"),
        sa.func.count().filter(i.rewritten, i.person_label.is_(None), i.skipped_why.is_(None))
        .label("rewritten"),
    )  # fmt: skip
    joined = REVIEWS.outerjoin(REVIEW_ITEMS, i.review_id == r.id)
    statement = sa.select(*r, *counts).select_from(joined).group_by(*r)
    return database.rows(engine, statement.order_by(r.id.desc()).limit(limit))


def get(engine: Engine, review_id: int) -> Row:
    """Raises Unknown."""
    found = database.rows(engine, sa.select(REVIEWS).where(REVIEWS.c.id == review_id))
    if not found:
        raise Unknown(f"There is no draw {review_id}.", hint="See: sentiment-worker review draw")
    return found[0]


def say(
    engine: Engine, review_id: int, number: int, label: str, *, by: str, settled_too: bool = False
) -> bool:
    """What a person says of a drawn record. The label of most people is kept with the draw, and is
    in force as an override. False where they have judged it before, enough others have (unless
    `settled_too`: one more opinion counts), somebody has passed it over, or its source has another
    text by now."""
    about = (review_id, number, label, _person(by), settled_too)
    return _done(engine, sa.func.analytics.review_say(*about))


def skip(engine: Engine, review_id: int, number: int, why: str, *, by: str) -> bool:
    """Pass a record over for good, if nobody has judged it."""
    why = storable(why)[:500]
    return _done(engine, sa.func.analytics.review_skip(review_id, number, why, _person(by)))


def undo(engine: Engine, review_id: int, number: int, *, by: str) -> bool:
    """Take back what this person said of a record, or that they passed it over."""
    return _done(engine, sa.func.analytics.review_undo(review_id, number, _person(by)))


def _person(by: str) -> str:
    return storable(by)[:500]


def _done(engine: Engine, call: sa.Function[Any]) -> bool:
    return bool(database.rows(engine, sa.select(call.label("done")))[0]["done"])
