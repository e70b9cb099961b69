"""The windows of a backfill's plan: each is opened in one transaction, and is then a checkpoint."""

from __future__ import annotations

from worker.chunk import distinct
from worker.ports import Planner
from worker.records import Lane, Lease, Member
from worker.states import BackfillState
from worker.store import driver
from worker.store.driver import Cursor
from worker.store.journal import chunks, ingest
from worker.store.journal.chunks import Claimant


def open_window(
    cur: Cursor, lane: Lane, run_id: int, planner: Planner, claimant: Claimant, fence: int
) -> tuple[list[Lease], dict[str, int]] | None:
    """Make the chunks of the next window; None if there is none, or the backfill does not run."""
    sql = """
        UPDATE sentiment.backfill_window SET opened_at = now()
        WHERE (backfill_id, number) = (
            SELECT w.backfill_id, w.number
            FROM sentiment.backfill_window w JOIN sentiment.backfill b ON b.id = w.backfill_id
            WHERE w.backfill_id = %s AND w.opened_at IS NULL AND b.state = %s
            ORDER BY w.number LIMIT 1
            FOR SHARE OF b  -- whoever pauses or cancels it waits for this transaction
        ) AND opened_at IS NULL
        RETURNING record_ids, content_hashes
    """
    found = driver.rows(cur, sql, (lane.backfill_id, BackfillState.RUNNING.value))
    if not found:
        return None
    (ids, digests) = found[0]
    sql = (
        "SELECT id, content_hash, text FROM sentiment.record WHERE id = ANY(%s) AND gone_at IS NULL"
    )
    now = {i: (bytes(digest), text) for i, digest, text in driver.rows(cur, sql, (ids,))}
    members = [Member(i, bytes(digests[16 * n : 16 * n + 16])) for n, i in enumerate(ids)]
    same = [m for m in members if m.record_id in now and now[m.record_id][0] == m.content_hash]
    items = distinct((m, now[m.record_id][1]) for m in same)
    leases = ingest.create_chunks(cur, lane, run_id, list(planner(items)), claimant, fence)
    changes = {
        "read": len(members),
        "changed": len(members) - len(same),
        "unchanged": len(same),
        "superseded": len(members) - len(same),
    }
    chunks.add_to_run(cur, run_id, changes)
    return leases, changes
