"""What calls have cost, as the journal counted it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.cost import UNMEASURED, Pace, Prices
from worker.records import Lane
from worker.store import database
from worker.store.tables import RUN, SCORER, SOURCE, SPEND

Row = Mapping[str, Any]

_SUMS = ("invocations", "texts", "records", "billed_ms", "billed_mb_ms", "unreported")

PACE_TEXTS = 200
"""Texts from which on a measured pace is believed."""


def by(
    engine: Engine,
    groups: Sequence[str],
    *,
    since: date | None = None,
    until: date | None = None,
    source: str | None = None,
) -> list[Row]:
    """Sums by any of day, month, source, model and model_version, the newest first; `answered`
    are the texts of calls with a usable answer."""
    model = sa.func.coalesce(SCORER.c.model, "(no answer)")
    columns = {
        "day": SPEND.c.day,
        "month": sa.func.to_char(SPEND.c.day, "YYYY-MM"),
        "source": SOURCE.c.name,
        "model": model,
        "model_version": sa.func.coalesce(SCORER.c.version, ""),
    }
    chosen = [columns[name].label(name) for name in groups]
    sums = [sa.cast(sa.func.sum(SPEND.c[name]), sa.BigInteger).label(name) for name in _SUMS]
    answered = sa.func.sum(SPEND.c.texts).filter(SPEND.c.scorer_id > 0)
    sums.append(sa.cast(sa.func.coalesce(answered, 0), sa.BigInteger).label("answered"))
    statement = (
        sa.select(*chosen, *sums)
        .join(SOURCE, SOURCE.c.id == SPEND.c.source_id)
        .outerjoin(SCORER, SCORER.c.id == SPEND.c.scorer_id)
        .group_by(*[columns[name] for name in groups])
        .order_by(*[columns[name].desc() for name in groups])
    )
    if since is not None:
        statement = statement.where(SPEND.c.day >= since)
    if until is not None:
        statement = statement.where(SPEND.c.day < until)
    if source is not None:
        statement = statement.where(SOURCE.c.name == source)
    return database.rows(engine, statement)


def spent(engine: Engine, prices: Prices) -> tuple[float, float]:
    """US dollars (today, this month), by the database's clock, in UTC."""
    today = sa.cast(sa.func.timezone("UTC", sa.func.now()), sa.Date)
    month = sa.cast(sa.func.date_trunc("month", today), sa.Date)
    is_today = SPEND.c.day == today
    statement = sa.select(
        *[
            sa.func.coalesce(sa.func.sum(SPEND.c[name]).filter(condition), 0)
            for condition in (is_today, sa.true())
            for name in ("invocations", "billed_mb_ms")
        ]
    ).where(SPEND.c.day >= month)
    with database.transaction(engine) as connection:
        calls, mb_ms, month_calls, month_mb_ms = connection.execute(statement).one()
    return (
        prices.usd(invocations=float(calls), mb_ms=float(mb_ms)),
        prices.usd(invocations=float(month_calls), mb_ms=float(month_mb_ms)),
    )


def spent_by_backfill(engine: Engine, lane: Lane, prices: Prices) -> float:
    """US dollars."""
    statement = sa.select(
        sa.func.coalesce(sa.func.sum(RUN.c.invocations), 0),
        sa.func.coalesce(sa.func.sum(RUN.c.billed_mb_ms), 0),
    ).where(RUN.c.source_id == lane.source_id, RUN.c.lane == lane.backfill_id)
    with database.transaction(engine) as connection:
        calls, mb_ms = connection.execute(statement).one()
    return prices.usd(invocations=float(calls), mb_ms=float(mb_ms))


def pace(engine: Engine, source: str) -> Pace:
    """What a text of this source has cost lately; of any source where it has no history; the
    benchmark's figure where nothing was measured at all."""
    for names in ((source,), None):
        found = _pace(engine, names)
        if found.measured_on >= PACE_TEXTS:
            return found
    return found if found.measured_on else UNMEASURED


def _pace(engine: Engine, names: Sequence[str] | None) -> Pace:
    recent = (
        sa.select(SPEND.c.texts, SPEND.c.billed_ms, SPEND.c.billed_mb_ms)
        .join(SOURCE, SOURCE.c.id == SPEND.c.source_id)
        .where(SPEND.c.billed_ms > 0, SPEND.c.scorer_id > 0, SPEND.c.texts > 0)
        .order_by(SPEND.c.day.desc())
        .limit(30)
    )
    if names is not None:
        recent = recent.where(SOURCE.c.name.in_(names))
    rows = recent.subquery()
    statement = sa.select(*[sa.func.coalesce(sa.func.sum(column), 0) for column in rows.c])
    with database.transaction(engine) as connection:
        texts, milliseconds, mb_ms = map(float, connection.execute(statement).one())
    if not texts:
        return Pace(0.0, 0.0, 0)
    return Pace(mb_ms / texts, milliseconds / 1000 / texts, int(texts))


# Looked for only where TextBlob was ever asked by choice: the second part reads every score.
_BY_CHOICE = """
WITH chosen AS MATERIALIZED (
    SELECT DISTINCT s.source_id, source.name
    FROM sentiment.spend s
    JOIN sentiment.scorer c ON c.id = s.scorer_id AND c.provider = 'textblob'
    JOIN sentiment.source ON source.id = s.source_id
    WHERE source.name = ANY(:sources) AND s.records > 0
)
SELECT chosen.name AS source, count(*) AS records
FROM chosen
JOIN sentiment.record r ON r.source_id = chosen.source_id AND r.gone_at IS NULL
JOIN sentiment.score t ON t.record_id = r.id AND t.content_hash = r.content_hash
    AND NOT t.provisional
JOIN sentiment.scorer c ON c.id = t.scorer_id AND c.provider = 'textblob'
WHERE NOT EXISTS (
    SELECT FROM sentiment.score m JOIN sentiment.scorer by_model ON by_model.id = m.scorer_id
    WHERE m.record_id = r.id AND m.content_hash = r.content_hash
      AND by_model.provider <> 'textblob')
GROUP BY chosen.name ORDER BY chosen.name
"""


def by_choice(engine: Engine, sources: Sequence[str]) -> dict[str, int]:
    """By source, the records whose score is TextBlob's by choice (USE_LAMBDA_SENTIMENT=0): such a
    score is final, and nobody replaces it unasked."""
    with database.transaction(engine) as connection:
        found = connection.execute(sa.text(_BY_CHOICE), {"sources": list(sources)})
        return {row.source: row.records for row in found}
