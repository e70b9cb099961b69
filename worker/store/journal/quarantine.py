"""Rows that could not be read, and texts that could not be scored: kept, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from operator import itemgetter

from worker.clean import storable
from worker.records import Member, Page, Settlement
from worker.store.driver import Cursor

RAW_LIMIT = 4096
"""Bytes of a refused row that are kept."""


def keep_rows(cur: Cursor, source_id: int, run_id: int, page: Page) -> None:
    if not page.refusals:
        return
    sql = """
        INSERT INTO sentiment.quarantine
            (source_id, run_id, stage, partition, reading, "offset", reason, raw, fingerprint)
        VALUES (%s, %s, 'read', %s, %s, %s, %s, %s, %s)
        ON CONFLICT (source_id, fingerprint)
            DO UPDATE SET run_id = excluded.run_id, reading = excluded.reading
    """
    rows = [
        (
            source_id,
            run_id,
            page.partition,
            page.reading,
            storable(refusal.offset),
            storable(refusal.reason),
            refusal.raw[:RAW_LIMIT],
            _fingerprint(page.partition, refusal.offset, refusal.reason, refusal.raw),
        )
        for refusal in page.refusals
    ]
    cur.executemany(sql, sorted(rows, key=itemgetter(7)))


def forget_rows(cur: Cursor, source_id: int, page: Page) -> None:
    """Rows of a partition that its newest reading has passed without meeting them again."""
    sql = """
        DELETE FROM sentiment.quarantine
        WHERE source_id = %s AND partition = %s AND stage = 'read' AND reading <> %s
    """
    cur.execute(sql, (source_id, page.partition, page.reading))


def forget_records(cur: Cursor, record_ids: Sequence[int]) -> None:
    """Records that say something else by now."""
    if record_ids:
        sql = "DELETE FROM sentiment.quarantine WHERE record_id = ANY(%s)"
        cur.execute(sql, (list(record_ids),))


def forget_members(cur: Cursor, members: Sequence[Member]) -> None:
    """Texts that the model scored after all."""
    if members:
        sql = "DELETE FROM sentiment.quarantine WHERE record_id = ANY(%s) AND fingerprint = ANY(%s)"
        cur.execute(sql, ([m.record_id for m in members], [_of_member(m) for m in members]))


def keep_members(cur: Cursor, run_id: int, settlement: Settlement) -> None:
    """The texts of a dead chunk: what the model could not score, with the reason."""
    sql = """
        INSERT INTO sentiment.quarantine
            (source_id, run_id, stage, partition, "offset", reason, raw, fingerprint,
             record_id, chunk_id)
        SELECT source_id, %s, 'score', '', 'record ' || external_id, %s,
               substring(convert_to(text, 'UTF8') FOR %s), %s, id, %s
        FROM sentiment.record WHERE id = %s AND content_hash = %s  -- not what it says by now
        ON CONFLICT (source_id, fingerprint) DO UPDATE SET run_id = excluded.run_id
    """
    chunk = settlement.lease.chunk
    reason = settlement.reason or "rejected"
    for member in (m for item in chunk.items for m in item.members):
        arguments = (run_id, reason, RAW_LIMIT, _of_member(member), chunk.id, *member)
        cur.execute(sql, arguments)


def _of_member(member: Member) -> bytes:
    return _fingerprint("score", str(member.record_id), "", member.content_hash)


def _fingerprint(partition: str, offset: str, reason: str, raw: bytes) -> bytes:
    place = f"{partition}\0{offset}\0{reason}\0".encode("utf-8", "surrogatepass")
    return blake2b(place + raw, digest_size=16).digest()
