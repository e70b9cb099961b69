"""Leases: who holds a chunk, until when, under which fencing token.

The idea is SQS's: a chunk has a time at which it becomes visible (again), so a crashed
worker's chunks come back by themselves and no reaper is needed. All clocks are the database's.
The token, incremented by every claim, refuses the answer of a worker that lost its lease
without noticing (https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worker import crashpoint
from worker.chunk import distinct
from worker.errors import TakenOver
from worker.records import Chunk, Lane, Lease, Member, Pending
from worker.store import driver
from worker.store.driver import Cursor
from worker.store.journal.chunks import Claimant

_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM sentiment.chunk
    WHERE source_id = %(source_id)s AND lane = %(lane)s AND state = 'open'
      AND CASE
          WHEN NOT parked THEN visible_at <= now()
          -- Parked before this run began: whatever was repaired since, the run may try it.
          WHEN %(parked)s THEN visible_at <= now()
              OR (leased_by IS NULL AND visible_at <= %(parked_s)s * interval '1 second'
                  + (SELECT started_at FROM sentiment.run WHERE id = %(run_id)s))
          ELSE visible_at <= now() AND NOT provisional
              AND created_at <= now() - %(overdue_s)s * interval '1 second'
      END
    ORDER BY parked, visible_at, id
    LIMIT %(count)s
    FOR UPDATE SKIP LOCKED
)
UPDATE sentiment.chunk c
SET fence = c.fence + 1, leased_by = %(worker)s,
    visible_at = now() + %(lease_s)s * interval '1 second'
FROM due WHERE c.id = due.id
RETURNING c.id, c.fence, c.root_id, c.attempts, c.reason, c.repeats, c.parked, c.provisional,
    extract(epoch FROM now() - c.created_at)::float8, c.record_ids, c.content_hashes
"""

_RENEW = """
UPDATE sentiment.chunk c SET visible_at = now() + %(lease_s)s * interval '1 second'
FROM unnest(%(ids)s::bigint[], %(fences)s::bigint[]) AS mine(id, fence)
WHERE c.id = mine.id AND c.fence = mine.fence AND c.state = 'open' AND c.leased_by IS NOT NULL
RETURNING c.id
"""

_PENDING = """
SELECT coalesce(sum(cardinality(record_ids)), 0)::bigint,
       coalesce(sum(cardinality(record_ids)) FILTER (WHERE parked), 0)::bigint,
       count(*) FILTER (WHERE NOT parked),
       extract(epoch FROM min(visible_at) FILTER (WHERE NOT parked) - now())::float8,
       extract(epoch FROM min(visible_at) FILTER (WHERE parked) - now())::float8,
       extract(epoch FROM min(greatest(visible_at,
           created_at + %(overdue_s)s * interval '1 second'))
           FILTER (WHERE parked AND NOT provisional AND %(overdue_s)s::float8 IS NOT NULL)
           - now())::float8
FROM sentiment.chunk WHERE source_id = %(source_id)s AND lane = %(lane)s AND state = 'open'
"""


def claim(
    cur: Cursor,
    lane: Lane,
    run_id: int,
    count: int,
    *,
    claimant: Claimant,
    parked: bool,
    parked_s: float,
    overdue_s: float | None,
) -> list[Lease]:
    """Lease up to `count` due chunks; see `PostgresJournal.claim`."""
    worker, lease_s = claimant
    arguments = {
        "source_id": lane.source_id,
        "lane": lane.backfill_id,
        "run_id": run_id,
        "count": count,
        "parked": parked,
        "parked_s": parked_s,
        "overdue_s": overdue_s,
        "worker": worker,
        "lease_s": lease_s,
    }
    leases = load_leases(cur, lane, driver.rows(cur, _CLAIM, arguments))
    if leases:
        crashpoint.reached("claim.before_commit")
    return leases


def requeue(cur: Cursor, source_id: int, run_id: int, record_ids: Sequence[int]) -> None:
    """A new chunk for each record, so that one culprit cannot hold back another."""
    sql = """
        INSERT INTO sentiment.chunk
            (id, source_id, run_id, root_id, reason, record_ids, content_hashes)
        SELECT n.id, %(source)s, %(run)s, n.id, 'redrive', ARRAY[n.record_id], n.content_hash
        FROM (
            SELECT nextval('sentiment.chunk_id') AS id, r.id AS record_id, r.content_hash
            FROM sentiment.record r
            WHERE r.id = ANY(%(records)s) AND r.source_id = %(source)s AND r.skip_reason IS NULL
              AND r.gone_at IS NULL
              AND NOT EXISTS (  -- it waits already, or the reply to our COMMIT was lost
                  SELECT FROM sentiment.chunk c
                  WHERE c.source_id = r.source_id AND c.state = 'open' AND c.reason = 'redrive'
                    AND c.record_ids = ARRAY[r.id])
        ) n
    """
    cur.execute(sql, {"source": source_id, "run": run_id, "records": list(record_ids)})


def renew(cur: Cursor, run_id: int, held: Sequence[Lease], lease_s: float) -> set[int]:
    """Extend leases; returns the ids of those that are no longer ours. Raises TakenOver."""
    ids = sorted((lease.chunk.id, lease.fence) for lease in held)
    arguments = {
        "ids": [i for i, _ in ids],
        "fences": [f for _, f in ids],
        "lease_s": lease_s,
    }
    kept = {row[0] for row in driver.rows(cur, _RENEW, arguments)}
    # Last, as in every transaction: chunks, then the run. The other order would deadlock.
    alive = "UPDATE sentiment.run SET heartbeat_at = now() WHERE id = %s AND state = 'running'"
    if cur.execute(alive, (run_id,)).rowcount == 0:
        raise TakenOver(
            "This process was not heard of for a lease, and another has taken over its run.",
            hint="Nothing is lost: what it had in hand is scored by the other.",
        )
    return {i for i, _ in ids} - kept


def pending(cur: Cursor, lane: Lane, overdue_s: float | None) -> Pending:
    """What is still open of a lane."""
    arguments = {
        "source_id": lane.source_id,
        "lane": lane.backfill_id,
        "overdue_s": overdue_s,
    }
    return Pending(*driver.rows(cur, _PENDING, arguments)[0])


def load_leases(cur: Cursor, lane: Lane, rows: Sequence[Any]) -> list[Lease]:
    """Claimed rows -> leases, with the texts of their records as they are now."""
    wanted = sorted({record_id for row in rows for record_id in row[9]})
    sql = (
        "SELECT id, content_hash, text FROM sentiment.record WHERE id = ANY(%s) AND gone_at IS NULL"
    )
    now = {i: (bytes(digest), text) for i, digest, text in driver.rows(cur, sql, (wanted,))}
    leases: list[Lease] = []
    for id_, fence, root, attempts, reason, repeats, parked, provisional, age, ids, digests in rows:
        members = [Member(i, digests[16 * n : 16 * n + 16]) for n, i in enumerate(ids)]
        current = [
            m for m in members if m.record_id in now and now[m.record_id][0] == m.content_hash
        ]
        chunk = Chunk(
            id=id_,
            lane=lane,
            root_id=root,
            items=tuple(distinct((m, now[m.record_id][1]) for m in current)),
            attempts=attempts,
            last_reason=reason,
            repeats=repeats,
            parked=parked,
            provisional=provisional,
            age_s=age,
            superseded=len(members) - len(current),
        )
        leases.append(Lease(chunk, fence))
    return leases
