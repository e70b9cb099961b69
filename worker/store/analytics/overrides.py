"""People's word on a text, beside the machine's: the last one holds, and can be taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import ConfigurationError
from worker.store import database
from worker.store.analytics.views import CURRENT_SENTIMENT, OVERRIDES
from worker.store.tables import OVERRIDE, RECORD, SOURCE

Row = Mapping[str, Any]

POLARITY = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}
"""What a person's label means where they give no number."""

_AGREEMENT = """
SELECT source, model, model_version,
       count(*) AS judged,
       count(*) FILTER (WHERE label = machine_label) AS same_label,
       avg((label = machine_label)::int)::float8 AS agreement,
       avg(abs(polarity - machine_polarity)) AS mean_distance
FROM analytics.overrides
WHERE in_force AND machine_label IS NOT NULL
  AND (CAST(:source AS text) IS NULL OR source = :source)
GROUP BY source, model, model_version ORDER BY source, model, model_version
"""


def put(
    engine: Engine,
    record_id: int,
    label: str | None,
    *,
    by: str,
    why: str,
    polarity: float | None = None,
) -> None:
    """A person's word on a record's text as it stands; `label` None takes back what was said.

    `polarity` in [-1, 1], by default what `POLARITY` says of the label.
    """
    if label is not None and polarity is None:
        polarity = POLARITY[label]
    values = {"label": label, "polarity": polarity, "made_by": by, "why": why}
    read = sa.select(
        RECORD.c.id,
        RECORD.c.content_hash,
        *(sa.literal(value, OVERRIDE.c[name].type) for name, value in values.items()),
    ).where(RECORD.c.id == record_id)
    insert = sa.insert(OVERRIDE).from_select(["record_id", "content_hash", *values], read)
    with database.transaction(engine) as connection:
        connection.execute(insert)


def find(engine: Engine, source: str, external_id: str) -> int:
    """This database's id of a record. Raises ConfigurationError."""
    statement = sa.select(RECORD.c.id).join(SOURCE, SOURCE.c.id == RECORD.c.source_id)
    with database.transaction(engine) as connection:
        found = connection.scalar(
            statement.where(
                SOURCE.c.name == source,
                RECORD.c.external_id == external_id,
                RECORD.c.gone_at.is_(None),
            )
        )
    if found is None:
        raise ConfigurationError(
            f"{source!r} has no record {external_id!r}.",
            hint="Ids are in the column external_id of: sentiment-worker scores",
        )
    return int(found)


def listed(engine: Engine, *, source: str | None, limit: int) -> list[Row]:
    """The newest first."""
    statement = sa.select(OVERRIDES).order_by(OVERRIDES.c.id.desc()).limit(limit)
    if source is not None:
        statement = statement.where(OVERRIDES.c.source == source)
    return database.rows(engine, statement)


def corrections(engine: Engine, source: str) -> list[Row]:
    """Every text of a source that people judged, with its label: each text once, and the label
    that most of its records have."""
    c = CURRENT_SENTIMENT.c
    most = sa.func.mode().within_group(c.label).label("label")
    statement = sa.select(c.text, most).where(c.source == source, c.overridden_by.is_not(None))
    return database.rows(engine, statement.group_by(c.text).order_by(sa.func.min(c.record_id)))


def agreement(engine: Engine, *, source: str | None) -> list[Row]:
    """By source and model: how often a person said the same, and how far apart they were."""
    return database.rows(engine, sa.text(_AGREEMENT), {"source": source})
