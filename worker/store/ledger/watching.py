"""What metrics ask of the database: one statement over small or indexed things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from worker.states import PULLS, SILENT, BackfillState, RunState, Trigger
from worker.store import database

Row = Mapping[str, Any]

_SOURCES = """
SELECT source.name AS source,
       coalesce(work.records, 0) AS pending,
       coalesce(work.oldest_s, 0) AS oldest_pending_s,
       coalesce(work.provisional, 0) AS provisional,
       (SELECT count(*) FROM sentiment.quarantine q WHERE q.source_id = source.id) AS quarantined,
       coalesce(extract(epoch FROM runs.last_success), 0) AS last_success,
       coalesce(runs.scored, 0) AS scored, coalesce(runs.throttled, 0) AS throttled,
       coalesce(runs.failed, 0) AS failed, coalesce(runs.missed, 0) AS missed_runs,
       coalesce(spent.invocations, 0) AS invocations,
       coalesce(spent.gb_seconds, 0) AS gb_seconds,
       coalesce(spent.unreported, 0) AS unreported,
       coalesce(cardinality(latest.warnings), 0) > 0 AS unusual,
       coalesce(latest.waiting_s, 0) AS waiting_s,
       EXISTS (SELECT FROM sentiment.pause p WHERE p.source_id = source.id
                 AND p.until > now() AND p.ended_by IS NULL) AS paused
FROM sentiment.source
LEFT JOIN LATERAL (
    SELECT sum(cardinality(c.record_ids)) AS records,
           sum(cardinality(c.record_ids)) FILTER (WHERE c.provisional) AS provisional,
           extract(epoch FROM now() - min(c.created_at)) AS oldest_s
    FROM sentiment.chunk c WHERE c.source_id = source.id AND c.state = 'open' AND c.lane = 0
) work ON true
LEFT JOIN LATERAL (
    SELECT max(r.finished_at) FILTER (WHERE r.state = ANY(:done)
               AND r.trigger = ANY(:whole)) AS last_success,
           sum(r.scored) AS scored, sum(r.throttled) AS throttled, sum(r.failed) AS failed,
           count(*) FILTER (
               WHERE r.state = :missed AND coalesce(r.error, '') NOT LIKE 'paused %') AS missed
    FROM sentiment.run r WHERE r.source_id = source.id
) runs ON true
LEFT JOIN LATERAL (
    SELECT sum(s.invocations) AS invocations, sum(s.billed_mb_ms) / 1024000.0 AS gb_seconds,
           sum(s.unreported) AS unreported
    FROM sentiment.spend s WHERE s.source_id = source.id
) spent ON true
LEFT JOIN LATERAL (
    SELECT r.warnings, r.waiting_s FROM sentiment.run r
    WHERE r.source_id = source.id AND r.lane = 0 AND r.trigger = ANY(:pulls)
      AND r.state <> ALL(:silent)
    ORDER BY r.started_at DESC LIMIT 1
) latest ON true
WHERE source.kind <> 'removed'
ORDER BY source.name
"""

_RUNS = {
    "done": [RunState.DONE.value, RunState.QUARANTINED.value],
    "whole": [*PULLS, Trigger.RETRY.value],
    "missed": RunState.MISSED.value,
    "pulls": PULLS,
    "silent": SILENT,
}

_BACKFILLS = """
SELECT count(*), coalesce(sum(records - finished), 0) FROM analytics.backfills
WHERE state = :running
"""


def sources(engine: Engine) -> list[Row]:
    """A row a source, with the keys that `worker.web.metrics` names."""
    return database.rows(engine, sa.text(_SOURCES), _RUNS)


def backfills(engine: Engine) -> tuple[int, int]:
    """(how many run, how many records they still hold)."""
    with database.transaction(engine) as connection:
        running, left = connection.execute(
            sa.text(_BACKFILLS), {"running": BackfillState.RUNNING}
        ).one()
        return int(running), int(left)


def answers(engine: Engine) -> None:
    """Raises WorkerError while the database does not answer."""
    with database.transaction(engine) as connection:
        connection.execute(sa.text("SELECT 1"))
