"""A source with everything that is held of it: counted, and deleted in batches.

Each batch is a transaction. A source whose removal was interrupted is of kind `BEGUN`: nothing
reads it or scores it any more, and the removal continues when the command is run again.
What was paid stays: budgets and `cost report` count it under `REMOVED`.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from worker.errors import SourceBusy
from worker.states import BackfillState
from worker.store import database, driver
from worker.store.analytics import rollup

BATCH = 5_000
"""Records in one transaction: about a tenth of a second, in which others can work."""

REMOVED = "(removed sources)"
BEGUN = "removing"

_HELD = {
    "records": "SELECT count(*) FROM sentiment.record WHERE source_id = %(id)s",
    "scores": "SELECT count(*) FROM sentiment.score s JOIN sentiment.record r ON r.id = s.record_id"
    " WHERE r.source_id = %(id)s",
    "overrides": "SELECT count(*) FROM sentiment.override o"
    " JOIN sentiment.record r ON r.id = o.record_id WHERE r.source_id = %(id)s",
    "quarantine": "SELECT count(*) FROM sentiment.quarantine WHERE source_id = %(id)s",
    "transcripts": "SELECT count(*) FROM sentiment.transcript WHERE source_id = %(id)s",
    "runs": "SELECT count(*) FROM sentiment.run WHERE source_id = %(id)s",
    "backfills": "SELECT count(*) FROM sentiment.backfill WHERE source_id = %(id)s",
}

_RUNNING = """
SELECT id FROM sentiment.backfill WHERE source_id = %(id)s AND state = %(running)s LIMIT 1
"""

# Revisions, overrides and refusals go with their records; triggers note what is to be counted anew.
_RECORDS = """
WITH chosen AS MATERIALIZED (
    SELECT id FROM sentiment.record WHERE source_id = %(id)s LIMIT %(batch)s
), scores AS (
    DELETE FROM sentiment.score WHERE record_id IN (SELECT id FROM chosen)
)
DELETE FROM sentiment.record WHERE id IN (SELECT id FROM chosen)
"""

_CHUNKS = """
DELETE FROM sentiment.chunk WHERE id IN (
    SELECT id FROM sentiment.chunk WHERE source_id = %(id)s LIMIT %(batch)s)
"""

# What is held of a source in tables whose rows are few, what refers to another before it.
_TABLES = (
    "quarantine",
    "transcript",
    "review",
    "backfill",
    "pause",
    "cursor_change",
    "cursor",
    "run",
    "daily",
)

_WINDOWS = """
DELETE FROM sentiment.backfill_window w USING sentiment.backfill b
WHERE b.id = w.backfill_id AND b.source_id = %(id)s
"""

_PAID = """
WITH removed AS (
    INSERT INTO sentiment.source (name, kind) VALUES (%(removed)s, 'removed')
    ON CONFLICT (name) DO UPDATE SET kind = excluded.kind RETURNING id
), moved AS (
    DELETE FROM sentiment.spend WHERE source_id = %(id)s RETURNING *
)
INSERT INTO sentiment.spend AS s
    (day, source_id, scorer_id, invocations, texts, records, billed_ms, billed_mb_ms, unreported)
SELECT m.day, r.id, m.scorer_id, m.invocations, m.texts, m.records, m.billed_ms, m.billed_mb_ms,
       m.unreported
FROM moved m, removed r
ON CONFLICT (day, source_id, scorer_id) DO UPDATE SET
    invocations = s.invocations + excluded.invocations, texts = s.texts + excluded.texts,
    records = s.records + excluded.records, billed_ms = s.billed_ms + excluded.billed_ms,
    billed_mb_ms = s.billed_mb_ms + excluded.billed_mb_ms,
    unreported = s.unreported + excluded.unreported
"""


def held(engine: Engine, source_id: int) -> dict[str, int]:
    """How many rows of each kind are held of a source."""
    with database.cursor(engine) as cur:
        return {
            what: int(driver.rows(cur, sql, {"id": source_id})[0][0]) for what, sql in _HELD.items()
        }


def remove(engine: Engine, source_id: int, told: Callable[[int], None]) -> None:
    """Delete it all, and correct the days; call it under the source's lock. `told` hears how many
    records each batch deleted. Raises SourceBusy while a backfill of it runs."""
    who = {
        "id": source_id,
        "batch": BATCH,
        "removed": REMOVED,
        "begun": BEGUN,
        "running": BackfillState.RUNNING.value,
    }
    with database.cursor(engine) as cur:
        if found := driver.rows(cur, _RUNNING, who):
            raise SourceBusy(
                f"Backfill {found[0][0]} of this source is running.",
                hint=f"End it first: sentiment-worker backfill cancel {found[0][0]}",
            )
    with database.cursor(engine) as cur:
        cur.execute(b"UPDATE sentiment.source SET kind = %(begun)s WHERE id = %(id)s", who)
    _in_batches(engine, _CHUNKS, who, lambda count: None)
    _in_batches(engine, _RECORDS, who, told)
    rollup.fold(engine, wait=True)
    with database.cursor(engine) as cur:
        cur.execute(_WINDOWS.encode(), who)
        for table in _TABLES:
            sql = f"DELETE FROM sentiment.{table} WHERE source_id = %(id)s"  # noqa: S608  ours
            cur.execute(sql.encode(), who)
        cur.execute(_PAID.encode(), who)
        cur.execute(b"DELETE FROM sentiment.source WHERE id = %(id)s", who)


def _in_batches(
    engine: Engine, sql: str, who: dict[str, object], told: Callable[[int], None]
) -> None:
    while True:
        with database.cursor(engine) as cur:
            count = cur.execute(sql.encode(), who).rowcount
        if not count:
            return
        told(count)
