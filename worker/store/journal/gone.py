"""Records that their source has no more: kept, and absent from the views of current records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from worker import words
from worker.errors import SourceUnavailable
from worker.store import driver
from worker.store.driver import Cursor
from worker.store.journal import chunks, leases

_MARK = """
UPDATE sentiment.record SET gone_at = now(), run_id = %(run)s
WHERE id IN (
    SELECT id FROM sentiment.record
    WHERE source_id = %(source)s AND external_id = ANY(%(ids)s) AND gone_at IS NULL
    ORDER BY external_id FOR UPDATE
)
"""

_THERE = 'CREATE TEMP TABLE there (external_id text COLLATE "C") ON COMMIT DROP'

_IS_MISSING = """
source_id = %(source)s AND gone_at IS NULL AND greatest(ingested_at, revised_at) < %(before)s
AND NOT EXISTS (SELECT FROM there t WHERE t.external_id = record.external_id)
"""

_COUNT = f"""
SELECT count(*) FILTER (WHERE {_IS_MISSING}), count(*)
FROM sentiment.record WHERE source_id = %(source)s AND gone_at IS NULL
"""  # noqa: S608  a condition of ours

_MARK_MISSING = f"""
UPDATE sentiment.record SET gone_at = now(), run_id = %(run)s
WHERE id IN (SELECT id FROM sentiment.record WHERE {_IS_MISSING} ORDER BY external_id FOR UPDATE)
"""  # noqa: S608

_BRING_BACK = """
UPDATE sentiment.record SET gone_at = NULL, revised_at = now(), run_id = %(run)s
WHERE id IN (
    SELECT id FROM sentiment.record
    WHERE source_id = %(source)s AND gone_at < %(before)s
      AND EXISTS (SELECT FROM there t WHERE t.external_id = record.external_id)
    ORDER BY external_id FOR UPDATE
)
RETURNING id
"""

_UNSCORED = """
SELECT id FROM sentiment.record r
WHERE id = ANY(%(ids)s) AND NOT EXISTS (
    SELECT FROM sentiment.score s JOIN sentiment.scorer c ON c.id = s.scorer_id
    WHERE s.record_id = r.id AND s.content_hash = r.content_hash AND NOT s.provisional)
"""


def mark(cur: Cursor, source_id: int, run_id: int, external_ids: Sequence[str]) -> int:
    """How many records are gone by now that were not before. What chunks still hold of them is left
    out when it is claimed."""
    arguments = {"source": source_id, "run": run_id, "ids": list(external_ids)}
    return cur.execute(_MARK, arguments).rowcount


def compare(
    cur: Cursor,
    source_id: int,
    run_id: int,
    ids: Iterable[Sequence[str]],
    before: datetime,
    most: float,
) -> dict[str, int]:
    """See `worker.ports.Journal.compare_ids`."""
    cur.execute(_THERE)
    count = 0
    with cur.copy("COPY there FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(("text",))
        for batch in ids:
            count += len(batch)
            for id_ in batch:
                copy.write_row((id_,))
    cur.execute("ANALYZE there")
    about = {"source": source_id, "run": run_id, "before": before}
    missing, held = driver.rows(cur, _COUNT, about)[0]
    if missing > most * held:
        raise SourceUnavailable(
            f"{missing:,} of {words.many(held, 'record', 'records')} would be gone at once,"
            f" more than {most:.0%}; none was marked.",
            hint="If they really were deleted, raise the source's `deletes_most`; else look for"
            " another table, another database, or a filter.",
        )
    gone = cur.execute(_MARK_MISSING, about).rowcount
    back = [row[0] for row in driver.rows(cur, _BRING_BACK, about)]
    unscored = [row[0] for row in driver.rows(cur, _UNSCORED, {"ids": back})]
    if unscored:
        leases.requeue(cur, source_id, run_id, unscored)
    changes = {
        "read": count + gone,
        "changed": gone + len(back),
        "unchanged": count - len(back),
    }
    chunks.add_to_run(cur, run_id, changes)
    return changes
