"""Ingest: a page's records, its chunks and the cursor, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from worker import crashpoint
from worker.chunk import distinct
from worker.errors import CursorMoved
from worker.ports import Planner
from worker.records import Chunk, Item, Lane, Lease, Member, Page, Record
from worker.store import driver
from worker.store.driver import Cursor
from worker.store.journal import chunks, gone, leases, quarantine
from worker.store.journal.chunks import Claimant

_STAGE_RECORDS = """
CREATE TEMP TABLE IF NOT EXISTS incoming (
    external_id text COLLATE "C", content_hash bytea, original_hash bytea, text text,
    published_at timestamptz, author text, language text, tags jsonb, flags text[],
    skip_reason text
) ON COMMIT DELETE ROWS
"""
_RECORD_TYPES = ("text", "bytea", "bytea", "text", "timestamptz", "text", "text", "jsonb", "text[]",
                 "text")  # fmt: skip

# Unchanged rows are left out before the upsert: ON CONFLICT would lock, and so rewrite, each of
# them. They are looked up one by one, in a subquery that the planner cannot make a join of: with
# no statistics on the temporary table it would scan all of sentiment.record for each page. The
# order by key keeps concurrent upserts of the same rows from deadlocking.
_UPSERT_RECORDS = """
INSERT INTO sentiment.record AS r
    (source_id, run_id, external_id, content_hash, original_hash, text, published_at, author,
     language, tags, flags, skip_reason)
SELECT %(source_id)s, %(run_id)s, i.*
FROM incoming i
WHERE (
    SELECT (
        k.content_hash = i.content_hash AND k.gone_at IS NULL
        AND (k.published_at, k.author, k.language, k.tags)
            IS NOT DISTINCT FROM (i.published_at, i.author, i.language, i.tags)
    ) OR (
        %(keep_newer)s AND k.published_at IS NOT NULL
        AND (i.published_at IS NULL OR k.published_at > i.published_at)
    )
    FROM sentiment.record k
    WHERE k.source_id = %(source_id)s AND k.external_id = i.external_id
) IS NOT TRUE
ORDER BY i.external_id
ON CONFLICT (source_id, external_id) DO UPDATE SET
    run_id = excluded.run_id, original_hash = excluded.original_hash, text = excluded.text,
    published_at = excluded.published_at, author = excluded.author,
    language = excluded.language, tags = excluded.tags, flags = excluded.flags,
    skip_reason = excluded.skip_reason, content_hash = excluded.content_hash,
    revision = r.revision + (r.content_hash <> excluded.content_hash)::int, gone_at = NULL,
    revised_at = CASE WHEN r.content_hash <> excluded.content_hash OR r.gone_at IS NOT NULL
                      THEN now() ELSE r.revised_at END
RETURNING r.id, r.external_id, r.xmax = 0 AS inserted, r.revised_at = now() AS revised
"""


_FIRST_MOVE = """
WITH old AS (SELECT NULL::jsonb AS position),
moved AS (
    INSERT INTO sentiment.cursor (source_id, partition, position, version, run_id, identity)
    VALUES (%(source)s, %(partition)s, %(position)s::jsonb, 1, %(run)s, %(identity)s::jsonb)
    ON CONFLICT DO NOTHING RETURNING 1
)"""

_NEXT_MOVE = """
WITH old AS MATERIALIZED (
    SELECT position FROM sentiment.cursor
    WHERE source_id = %(source)s AND partition = %(partition)s AND version = %(version)s
), moved AS (
    UPDATE sentiment.cursor SET position = %(position)s::jsonb, version = version + 1,
        run_id = %(run)s, updated_at = now(), identity = coalesce(identity, %(identity)s::jsonb)
    WHERE source_id = %(source)s AND partition = %(partition)s AND version = %(version)s
    RETURNING 1
)"""

# One row a run and partition: from where the run found it to where it left it.
_NOTE_MOVE = """, noted AS (
    INSERT INTO sentiment.cursor_change
        (source_id, partition, before, after, run_id, changed_by, why)
    SELECT %(source)s, %(partition)s, old.position, %(position)s::jsonb, %(run)s, 'worker', 'run'
    FROM old, moved
    ON CONFLICT (run_id, source_id, partition) DO UPDATE
        SET after = excluded.after, changed_at = now()
)
SELECT FROM moved
"""


def move_cursor(cur: Cursor, source_id: int, run_id: int, page: Page, version: int) -> bool:
    """False if the cursor is not at `version` (0: it does not exist yet)."""
    sql = (_NEXT_MOVE if version else _FIRST_MOVE) + _NOTE_MOVE
    arguments = {
        "source": source_id,
        "partition": page.partition,
        "position": json.dumps(dict(page.position)),
        "identity": json.dumps(dict(page.identity)) if page.identity else None,
        "run": run_id,
        "version": version,
    }
    return bool(driver.rows(cur, sql, arguments))


def store(
    cur: Cursor,
    source_id: int,
    run_id: int,
    pages: Sequence[Page],
    planner: Planner,
    claimant: Claimant,
    fence: int,
) -> tuple[list[Lease], dict[str, int]]:
    """Pages whose cursors were moved: their records and chunks. No id is in two of them."""
    crashpoint.reached("ingest.cursor_moved")
    records = [record for page in pages for record in page.records]
    unique = {record.external_id: record for record in records}
    keep_newer = any(page.keep_newer for page in pages)  # of one source, all alike
    rows = _upsert(cur, source_id, run_id, unique.values(), keep_newer=keep_newer)
    fresh = [(id_, unique[external]) for id_, external, inserted, _ in rows if inserted]
    revised = [
        (id_, unique[external])
        for id_, external, inserted, revised in rows
        if revised and not inserted
    ]
    wanted = [(i, r) for i, r in fresh + _unscored(cur, revised) if r.skip_reason is None]
    items = distinct((Member(i, r.content_hash), r.text) for i, r in wanted)
    made = create_chunks(cur, Lane(source_id), run_id, list(planner(items)), claimant, fence)
    quarantine.forget_records(cur, [i for i, _ in revised])
    for page in pages:
        quarantine.keep_rows(cur, source_id, run_id, page)
        if page.complete:
            quarantine.forget_rows(cur, source_id, page)
    absent = [external_id for page in pages for external_id in page.gone]
    left = gone.mark(cur, source_id, run_id, absent) if absent else 0
    refused = sum(len(page.refusals) for page in pages)
    changes = {
        "read": len(records) + refused + len(absent),
        "new": len(fresh),
        "changed": len(rows) - len(fresh) + left,
        "unchanged": len(unique) - len(rows) + len(absent) - left,
        "duplicate": len(records) - len(unique),
        "quarantined": refused,
        "skipped": sum(r.skip_reason is not None for _, r in fresh + revised),
    }
    chunks.add_to_run(cur, run_id, changes)
    crashpoint.reached("ingest.before_commit")
    return made, changes


def move_cursors(
    cur: Cursor, source_id: int, run_id: int, pages: Sequence[tuple[Page, int]]
) -> bool:
    """False if the first page's cursor is not at its version. Raises CursorMoved where only some
    are: that was no commit of ours."""
    for count, (page, version) in enumerate(pages):
        if not move_cursor(cur, source_id, run_id, page, version):
            if count:
                raise _moved(page)
            return False
    return True


def adopt(
    cur: Cursor,
    source_id: int,
    run_id: int,
    pages: Sequence[tuple[Page, int]],
    worker: str,
    fence: int,
) -> tuple[list[Lease], dict[str, int]]:
    """The cursors are not where we left them: our own commit whose reply was lost, or another's.
    Raises CursorMoved for another's."""
    sql = """
        SELECT version, run_id, position, updated_at FROM sentiment.cursor
        WHERE source_id = %s AND partition = %s
    """
    for page, version in pages:
        found = driver.rows(cur, sql, (source_id, page.partition))
        if not found or found[0][:3] != (version + 1, run_id, dict(page.position)):
            raise _moved(page)
    sql = """
        SELECT id, fence, root_id, attempts, reason, repeats, parked, provisional,
               0::float8, record_ids, content_hashes
        FROM sentiment.chunk
        WHERE run_id = %s AND created_at = %s AND leased_by = %s AND fence = %s
          AND state = 'open'
    """
    rows = driver.rows(cur, sql, (run_id, found[0][3], worker, fence))
    return leases.load_leases(cur, Lane(source_id), rows), {}


def _moved(page: Page) -> CursorMoved:
    return CursorMoved(
        f"Another run moved the cursor of {page.partition or 'this source'}.",
        hint="Nothing is lost: what this run read since was rolled back.",
    )


def create_chunks(
    cur: Cursor,
    lane: Lane,
    run_id: int,
    groups: Sequence[tuple[Item, ...]],
    claimant: Claimant,
    fence: int,
) -> list[Lease]:
    """New chunks, leased to this worker from the start: they need no claim."""
    worker, lease_s = claimant
    made = [
        Chunk(id=i, lane=lane, root_id=i, items=items)
        for i, items in zip(chunks.reserve_ids(cur, len(groups)), groups, strict=True)
    ]
    if made:
        sql = "SELECT now() + %s * interval '1 second'"
        lease_ends = driver.rows(cur, sql, (lease_s,))[0][0]
        chunks.copy_chunks(cur, run_id, made, holder=(lease_ends, fence, worker))
    return [Lease(chunk, fence) for chunk in made]


def _upsert(
    cur: Cursor, source_id: int, run_id: int, records: Iterable[Record], *, keep_newer: bool
) -> list[Any]:
    """(id, external_id, inserted, revised) of each record that is new or differs. `keep_newer`: see
    `worker.records.Page`."""
    cur.execute(_STAGE_RECORDS)
    with cur.copy("COPY incoming FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(_RECORD_TYPES)
        for r in records:
            copy.write_row(
                (
                    r.external_id,
                    r.content_hash,
                    r.original_hash,
                    r.text,
                    r.published_at,
                    r.author,
                    r.language,
                    Jsonb(r.tags) if r.tags else None,
                    list(r.flags) or None,
                    r.skip_reason,
                )
            )
    arguments = {"source_id": source_id, "run_id": run_id, "keep_newer": keep_newer}
    return driver.rows(cur, _UPSERT_RECORDS, arguments)


def _unscored(cur: Cursor, revised: list[tuple[int, Record]]) -> list[tuple[int, Record]]:
    """Of rewritten records, those whose new text the model has not scored before."""
    if not revised:
        return []
    sql = """
        SELECT s.record_id, s.content_hash
        FROM unnest(%s::bigint[], %s::bytea[]) AS w(record_id, content_hash)
        JOIN sentiment.score s USING (record_id, content_hash)
        WHERE NOT s.provisional
    """
    arguments = ([i for i, _ in revised], [r.content_hash for _, r in revised])
    scored = {(i, bytes(digest)) for i, digest in driver.rows(cur, sql, arguments)}
    return [(i, r) for i, r in revised if (i, r.content_hash) not in scored]
