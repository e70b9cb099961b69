"""New probabilities for stored scores, where a model's new version has other temperatures and the
same weights: no text is sent again.

A score keeps its label, that label's probability and the polarity. Three labels sum to 1, so these
determine all three probabilities, and another temperature raises each to the power of old by new
(https://arxiv.org/abs/1706.04599). That is exact for a text that was read in one window. A longer
one has the average of its windows, and comes close.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.store import database
from worker.store.analytics.scorers import Row

WINDOW = 5_000
"""Scores of a transaction: killed anywhere, what is done stays, and doing it again goes on."""

_COUNT = """
SELECT count(*) AS scores,
       count(*) FILTER (WHERE EXISTS (SELECT FROM sentiment.score n WHERE n.record_id = s.record_id
           AND n.content_hash = s.content_hash AND n.scorer_id = :new)) AS done
FROM sentiment.score s JOIN sentiment.record r ON r.id = s.record_id
WHERE s.scorer_id = :old AND (CAST(:source AS integer) IS NULL OR r.source_id = :source)
"""

_STEP = """
WITH chosen AS MATERIALIZED (
    SELECT s.*, coalesce((CAST(:powers AS jsonb) ->> s.language)::float8,
                         (CAST(:powers AS jsonb) ->> '*')::float8) AS power
    FROM sentiment.score s JOIN sentiment.record r ON r.id = s.record_id
    WHERE s.scorer_id = :old AND s.record_id > :last
      AND (CAST(:source AS integer) IS NULL OR r.source_id = :source)
    ORDER BY s.record_id FETCH FIRST :size ROWS WITH TIES
), chances AS (
    SELECT *,
           CASE label WHEN 'positive' THEN score - polarity WHEN 'negative' THEN score
                      ELSE (1 - score - polarity) / 2 END AS negative,
           CASE label WHEN 'positive' THEN score WHEN 'negative' THEN score + polarity
                      ELSE (1 - score + polarity) / 2 END AS positive
    FROM chosen
), weights AS (
    -- What is stored is rounded to a millionth: a probability may come out as a little below 0.
    SELECT *, power(greatest(negative, 1e-7), power) AS w_negative,
           power(greatest(positive, 1e-7), power) AS w_positive,
           power(greatest(1 - negative - positive, 1e-7), power) AS w_neutral
    FROM chances
), judged AS (
    SELECT *, w_negative + w_neutral + w_positive AS total,
           CASE label WHEN 'negative' THEN w_negative WHEN 'positive' THEN w_positive
                      ELSE w_neutral END AS w_label
    FROM weights
), written AS (
    INSERT INTO sentiment.score (record_id, content_hash, scorer_id, label, score, polarity,
                                 chunk_id, run_id, language)
    SELECT record_id, content_hash, :new, label, round((w_label / total)::numeric, 6),
           round(((w_positive - w_negative) / total)::numeric, 6), chunk_id, run_id, language
    FROM judged ORDER BY record_id, content_hash
    ON CONFLICT (record_id, content_hash, scorer_id) DO NOTHING
    RETURNING 1
)
SELECT max(record_id) AS last, count(*) AS looked_at, (SELECT count(*) FROM written) AS written
FROM judged
"""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """From one version's scores to another's."""

    old: Row
    """The scorer, as `scorers.named` gives it."""
    model: str
    version: str
    languages: Sequence[str]
    powers: Mapping[str, float]
    """By language, and `*` for any other: the old temperature by the new."""
    source_id: int | None = None
    """Only of this source."""


def plan(engine: Engine, wanted: Recalibration) -> tuple[int, int]:
    """(scores of the old version, how many of them the new one has judged already)."""
    arguments = {"old": wanted.old["id"], "new": -1, "source": wanted.source_id}
    with database.transaction(engine) as connection:
        known = connection.scalar(sa.text(_KNOWN), _named(wanted))
        row = connection.execute(sa.text(_COUNT), arguments | {"new": known or -1}).one()
        return int(row.scores), int(row.done)


def apply(
    engine: Engine, wanted: Recalibration, told: Callable[[int], None] = lambda count: None
) -> int:
    """Write the new scores beside the old, which stay as they are; returns how many were new.
    `told` is given how many of the old were looked at so far."""
    with database.transaction(engine) as connection:
        connection.execute(sa.text(_ADD), _named(wanted) | {"languages": [*wanted.languages]})
        new = connection.scalar(sa.text(_KNOWN), _named(wanted))
    about = {"old": wanted.old["id"], "new": new, "source": wanted.source_id, "size": WINDOW}
    about["powers"] = json.dumps(dict(wanted.powers))
    last, looked_at, written = 0, 0, 0
    while True:
        (row,) = database.rows(engine, sa.text(_STEP), about | {"last": last})
        if row["last"] is None:
            return written
        last, looked_at = row["last"], looked_at + row["looked_at"]
        written += row["written"]
        told(looked_at)


_KNOWN = """
SELECT id FROM sentiment.scorer WHERE (provider, model, version) = (:provider, :model, :version)
"""

_ADD = """
INSERT INTO sentiment.scorer (provider, model, version, languages)
VALUES (:provider, :model, :version, nullif(CAST(:languages AS text[]), '{}'))
ON CONFLICT (provider, model, version) DO NOTHING
"""


def _named(wanted: Recalibration) -> dict[str, str]:
    return {
        "provider": wanted.old["provider"],
        "model": wanted.model,
        "version": wanted.version,
    }
