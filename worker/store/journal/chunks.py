"""Rows of chunks, who leases them, and the counters of their run."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from worker.records import Chunk
from worker.store.driver import Cursor, rows


class Claimant(NamedTuple):
    """Who takes a lease, and for how long."""

    worker: str
    lease_s: float


def first_fence() -> int:
    """For chunks that one call of the journal makes. Not 1 for all of them: a standby that lacks
    commits gives out chunks' numbers again, and a lease that it never heard of must not fit
    another chunk."""
    return 1 + secrets.randbits(60)


def add_to_run(cur: Cursor, run_id: int, changes: Mapping[str, int]) -> None:
    """Add to the run's counters. Names come from `Counters`, never from outside."""
    moved = {name: n for name, n in changes.items() if n}
    assignments = "".join(f", {name} = {name} + %({name})s" for name in moved)
    sql = f"UPDATE sentiment.run SET heartbeat_at = now(){assignments} WHERE id = %(id)s"  # noqa: S608  names of ours
    cur.execute(sql.encode(), {**moved, "id": run_id})


def reserve_ids(cur: Cursor, count: int) -> list[int]:
    sql = "SELECT nextval('sentiment.chunk_id') FROM generate_series(1, %s)"
    return [row[0] for row in rows(cur, sql, (count,))] if count else []


def copy_chunks(
    cur: Cursor,
    run_id: int,
    chunks: Sequence[Chunk],
    *,
    holder: tuple[datetime, int, str] | None = None,
) -> None:
    """`holder` is when the lease ends, its fence and who holds it; without one the chunks are
    free to be claimed."""
    if not chunks:
        return
    columns = (
        "id, source_id, lane, run_id, root_id, reason, repeats, provisional, record_ids,"
        " content_hashes"
    )
    if holder:
        columns += ", visible_at, fence, leased_by"
    with cur.copy(f"COPY sentiment.chunk ({columns}) FROM STDIN") as copy:
        for chunk in chunks:
            members = [member for item in chunk.items for member in item.members]
            row = (
                chunk.id,
                *chunk.lane,
                run_id,
                chunk.root_id,
                chunk.last_reason,
                chunk.repeats,
                chunk.provisional,
                [m.record_id for m in members],
                b"".join([m.content_hash for m in members]),
            )
            copy.write_row(row + (holder or ()))
