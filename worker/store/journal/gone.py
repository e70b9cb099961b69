"""Records that their source has no more: kept, and out of every view and count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from worker import words
from worker.errors import SourceUnavailable
from worker.store import driver
from worker.store.driver import Cursor
from worker.store.journal import chunks

_MARK = """
UPDATE sentiment.record SET gone_at = now(), run_id = %(run)s
WHERE id IN (
    SELECT id FROM sentiment.record
    WHERE source_id = %(source)s AND external_id = ANY(%(ids)s) AND gone_at IS NULL
    ORDER BY external_id FOR UPDATE
)
"""

_THERE = 'CREATE TEMP TABLE there (external_id text COLLATE "C") ON COMMIT DROP'

_MISSING = """
SELECT external_id FROM sentiment.record r
WHERE source_id = %(source)s AND gone_at IS NULL AND greatest(ingested_at, revised_at) < %(before)s
  AND NOT EXISTS (SELECT FROM there t WHERE t.external_id = r.external_id)
"""

_HELD = "SELECT count(*) FROM sentiment.record WHERE source_id = %s AND gone_at IS NULL"


def mark(cur: Cursor, source_id: int, run_id: int, external_ids: Sequence[str]) -> int:
    """How many records are gone by now that were not before. What chunks still hold of them is left
    out when it is claimed."""
    arguments = {"source": source_id, "run": run_id, "ids": list(external_ids)}
    return cur.execute(_MARK, arguments).rowcount


def mark_missing(
    cur: Cursor,
    source_id: int,
    run_id: int,
    ids: Iterable[Sequence[str]],
    before: datetime,
    most: float,
) -> int:
    """See `worker.ports.Journal.mark_missing`."""
    cur.execute(_THERE)
    with cur.copy("COPY there FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(("text",))
        for batch in ids:
            for id_ in batch:
                copy.write_row((id_,))
    cur.execute("ANALYZE there")
    found = driver.rows(cur, _MISSING, {"source": source_id, "before": before})
    missing = [row[0] for row in found]
    (held,) = driver.rows(cur, _HELD, (source_id,))[0]
    if len(missing) > most * held:
        raise SourceUnavailable(
            f"{len(missing):,} of {words.many(held, 'record', 'records')} would be gone at once,"
            f" more than {most:.0%}; none was marked.",
            hint="If the source really has them no more, raise its `deletes_most`; else look for"
            " another table, another database, or a filter.",
        )
    gone = mark(cur, source_id, run_id, missing)
    chunks.add_to_run(cur, run_id, {"read": gone, "changed": gone})
    return gone
