"""Models that have spoken: whose word is current, and where two of them disagree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import ConfigurationError
from worker.speech import PROVIDER
from worker.store import database
from worker.store.analytics import rollup
from worker.store.tables import SCORE, SCORER

Row = Mapping[str, Any]

_PAIRS = """
FROM sentiment.score old
JOIN sentiment.score new USING (record_id, content_hash)
JOIN sentiment.record ON record.id = record_id AND record.content_hash = old.content_hash
    AND record.gone_at IS NULL
JOIN sentiment.source ON source.id = record.source_id
WHERE old.scorer_id = :old AND new.scorer_id = :new
  AND (CAST(:source AS text) IS NULL OR source.name = :source)
"""

_FLIPS = f"""
SELECT source.name AS source,
       count(*) AS compared,
       count(*) FILTER (WHERE old.label <> new.label) AS other_label,
       count(*) FILTER (WHERE sign(old.polarity) * sign(new.polarity) < 0) AS other_sign,
       avg(abs(new.polarity - old.polarity)) AS mean_change,
       avg(old.polarity) AS mean_old,
       avg(new.polarity) AS mean_new
{_PAIRS}
GROUP BY source.name ORDER BY source.name
"""

_FLIPPED = f"""
SELECT source.name AS source, record.external_id,
       old.label AS old_label, old.polarity AS old_polarity,
       new.label AS new_label, new.polarity AS new_polarity, record.text
{_PAIRS} AND old.label <> new.label
ORDER BY abs(new.polarity - old.polarity) DESC, record.id LIMIT :limit
"""


def listed(engine: Engine) -> list[Row]:
    """Every scorer with the number of its scores; `current` is the one that was promoted last."""
    scores = sa.select(sa.func.count()).where(SCORE.c.scorer_id == SCORER.c.id).scalar_subquery()
    last = sa.select(sa.func.max(SCORER.c.promoted_at)).scalar_subquery()
    statement = sa.select(
        SCORER, scores.label("scores"), (SCORER.c.promoted_at == last).is_(True).label("current")
    ).order_by(SCORER.c.promoted_at.desc().nulls_last(), SCORER.c.id)
    return database.rows(engine, statement.where(SCORER.c.provider != PROVIDER))


def named(engine: Engine, version: str) -> Row:
    """The model of that version, or of "model version". Raises ConfigurationError."""
    every = [row for row in listed(engine) if row["provider"] != "textblob"]
    found = [
        row for row in every if version in (row["version"], f"{row['model']} {row['version']}")
    ]
    if len(found) != 1:
        there = ", ".join(repr(f"{row['model']} {row['version']}") for row in every) or "none yet"
        what = "Several models have" if found else "No model has"
        raise ConfigurationError(f"{what} version {version!r}.", hint=f"There are: {there}.")
    return found[0]


def flips(engine: Engine, old: Row, new: Row, *, source: str | None) -> list[Row]:
    """By source: how many texts both have judged, and how far apart they are."""
    arguments = {"old": old["id"], "new": new["id"], "source": source}
    return database.rows(engine, sa.text(_FLIPS), arguments)


def flipped(engine: Engine, old: Row, new: Row, *, source: str | None, limit: int) -> list[Row]:
    """Texts with another label, the furthest apart first."""
    arguments = {"old": old["id"], "new": new["id"], "source": source, "limit": limit}
    return database.rows(engine, sa.text(_FLIPPED), arguments)


def promote(engine: Engine, scorer_id: int) -> None:
    """Its scores are current from now on, where it has any."""
    statement = sa.update(SCORER).where(SCORER.c.id == scorer_id)
    with database.transaction(engine) as connection:
        rollup.hold(connection)
        connection.execute(statement.values(promoted_at=sa.func.clock_timestamp()))


def demote(engine: Engine, scorer_id: int) -> Row:
    """Forget its promotion; the scorer that is current now. Raises ConfigurationError if there
    would be none."""
    with database.transaction(engine) as connection:
        before = (
            sa.select(SCORER)
            .where(SCORER.c.promoted_at.is_not(None), SCORER.c.id != scorer_id)
            .order_by(SCORER.c.promoted_at.desc())
            .limit(1)
        )
        found = connection.execute(before).mappings().first()
        if found is None:
            raise ConfigurationError(
                "No other model was ever promoted: its word stays.",
                hint="Promote the one that should speak: sentiment-worker rescore promote VERSION",
            )
        forget = sa.update(SCORER).where(SCORER.c.id == scorer_id).values(promoted_at=None)
        rollup.hold(connection)
        connection.execute(forget)
        return dict(found)
