"""The journal: every step of a record's way that must survive a crash is one transaction here.

Leases are SQS's idea kept in PostgreSQL: a chunk has a time at which it becomes visible
(again), so a crashed worker's chunks come back by themselves and no reaper is needed. All
clocks are the database's. A fencing token, incremented by every claim, refuses the answer of
a worker that lost its lease without noticing (https://martin.kleppmann.com/2016/02/08/).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from operator import itemgetter
from typing import Any, TypeVar

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from worker.chunk import distinct
from worker.clean import storable
from worker.errors import CursorMoved
from worker.ports import Planner
from worker.records import (
    Chunk,
    Item,
    Lease,
    Member,
    Page,
    Pending,
    Position,
    Record,
    Refusal,
    ScorerId,
    Settlement,
    SettlementKind,
)
from worker.store import database

RAW_LIMIT = 4096
"""Bytes of a refused row that quarantine keeps."""

Cursor = psycopg.Cursor[Any]
T = TypeVar("T")

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
    SELECT k.content_hash = i.content_hash
       AND (k.published_at, k.author, k.language, k.tags)
           IS NOT DISTINCT FROM (i.published_at, i.author, i.language, i.tags)
    FROM sentiment.record k
    WHERE k.source_id = %(source_id)s AND k.external_id = i.external_id
) IS NOT TRUE
ORDER BY i.external_id
ON CONFLICT (source_id, external_id) DO UPDATE SET
    run_id = excluded.run_id, original_hash = excluded.original_hash, text = excluded.text,
    published_at = excluded.published_at, author = excluded.author,
    language = excluded.language, tags = excluded.tags, flags = excluded.flags,
    skip_reason = excluded.skip_reason, content_hash = excluded.content_hash,
    revision = r.revision + (r.content_hash <> excluded.content_hash)::int,
    revised_at = CASE WHEN r.content_hash <> excluded.content_hash THEN now()
                      ELSE r.revised_at END
RETURNING r.id, r.external_id, r.xmax = 0 AS inserted, r.revised_at = now() AS revised
"""

_SCORE_COLUMNS = (
    "record_id, content_hash, scorer_id, label, score, polarity, fallback_reason, provisional,"
    " chunk_id, run_id"
)
_SCORE_TYPES = ("int8", "bytea", "int4", "text", "float8", "float8", "text", "bool", "int8", "int8")

_COPY_SCORES = f"COPY sentiment.score ({_SCORE_COLUMNS}) FROM STDIN (FORMAT binary)"

_STAGE_SCORES = """
CREATE TEMP TABLE IF NOT EXISTS verdict (LIKE sentiment.score INCLUDING DEFAULTS)
ON COMMIT DELETE ROWS
"""
_COPY_STAGED_SCORES = _COPY_SCORES.replace("sentiment.score", "verdict")

# The same scorer's second opinion on the same text changes nothing, except that TextBlob by
# choice makes its own provisional score final.
_UPSERT_SCORES = f"""
INSERT INTO sentiment.score AS s ({_SCORE_COLUMNS})
SELECT DISTINCT ON (record_id, content_hash, scorer_id) {_SCORE_COLUMNS} FROM verdict
ORDER BY record_id, content_hash, scorer_id
ON CONFLICT (record_id, content_hash, scorer_id) DO UPDATE
    SET provisional = false, fallback_reason = NULL, scored_at = now(),
        chunk_id = excluded.chunk_id, run_id = excluded.run_id
    WHERE s.provisional AND NOT excluded.provisional
"""  # noqa: S608  only _SCORE_COLUMNS goes in

_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM sentiment.chunk
    WHERE source_id = %(source_id)s AND state = 'open'
      AND CASE
          WHEN NOT parked THEN visible_at <= now()
          -- Parked before this run began: whatever was repaired since, the run may try it.
          WHEN %(parked)s THEN visible_at <= greatest(now(), %(parked_s)s * interval '1 second'
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

_SETTLE = """
UPDATE sentiment.chunk c
SET state = u.state, visible_at = now() + u.after_s * interval '1 second', leased_by = NULL,
    attempts = u.attempts, reason = u.reason, repeats = u.repeats,
    parked = u.parked, provisional = c.provisional OR u.provisional,
    finished_at = CASE WHEN u.state <> 'open' THEN now() END
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::float8[], %s::int[], %s::text[],
            %s::int[], %s::bool[], %s::bool[])
     AS u(id, fence, state, after_s, attempts, reason, repeats, parked, provisional)
WHERE c.id = u.id AND c.fence = u.fence AND c.state = 'open' AND c.leased_by IS NOT NULL
RETURNING c.id
"""

_STATE_AFTER = {
    SettlementKind.DONE: "done",
    SettlementKind.SPLIT: "split",
    SettlementKind.DEAD: "dead",
    SettlementKind.RETRY: "open",
    SettlementKind.PARK: "open",
    SettlementKind.RELEASE: "open",
}


class PostgresJournal:
    """`worker.ports.Journal` over PostgreSQL."""

    def __init__(
        self,
        engine: Engine,
        *,
        worker: str,
        lease_s: float,
        patience_s: float,
        parked_s: float = 30.0,
        overdue_s: float | None = None,
    ) -> None:
        """`parked_s` is how long a parked chunk rests; `overdue_s` the age from which one
        without any score is handed out even while the Lambda is away (None: never)."""
        self._engine = engine
        self._worker = worker
        self._lease_s = lease_s
        self._patience_s = patience_s
        self._parked_s = parked_s
        self._overdue_s = overdue_s
        self._scorer_ids: dict[ScorerId, int] = {}

    def positions(self, source_id: int) -> dict[str, tuple[Position, int]]:
        """Cursor and its version, by partition."""
        sql = "SELECT partition, position, version FROM sentiment.cursor WHERE source_id = %s"

        def read() -> dict[str, tuple[Position, int]]:
            with database.cursor(self._engine) as cur:
                rows: Iterable[Any] = cur.execute(sql, (source_id,))
                return {partition: (position, version) for partition, position, version in rows}

        return self._retrying(read)

    def ingest(
        self, source_id: int, run_id: int, page: Page, version: int, planner: Planner
    ) -> tuple[list[Lease], dict[str, int]]:
        """Store a page, its chunks (leased to this worker) and the cursor, in one commit.

        Returns the leases and what the page adds to the run's counters. Raises CursorMoved
        when the cursor is no longer at `version` (0: it does not exist yet).
        """

        def write() -> tuple[list[Lease], dict[str, int]]:
            with database.cursor(self._engine) as cur:
                if not _move_cursor(cur, source_id, run_id, page, version):
                    return self._adopt(cur, source_id, run_id, page, version)
                return self._store_page(cur, source_id, run_id, page, planner)

        return self._retrying(write)

    def claim(self, source_id: int, run_id: int, count: int, *, parked: bool) -> list[Lease]:
        """Lease up to `count` due chunks, parked ones (they wait for the Lambda) only if asked
        or overdue for a provisional score.

        Records that were rewritten since their chunk was made are left out (counted as
        superseded): their newer text has a chunk of its own.
        """
        arguments = {
            "source_id": source_id,
            "count": count,
            "parked": parked,
            "parked_s": self._parked_s,
            "overdue_s": self._overdue_s,
            "run_id": run_id,
            "worker": self._worker,
            "lease_s": self._lease_s,
        }

        def write() -> list[Lease]:
            with database.cursor(self._engine) as cur:
                leases, superseded = _load_leases(cur, source_id, _rows(cur, _CLAIM, arguments))
                if superseded:
                    _count(cur, run_id, {"superseded": superseded})
                return leases

        return self._retrying(write)

    def renew(self, leases: Sequence[Lease]) -> set[int]:
        """Extend leases; returns the ids of those that are no longer ours."""
        ids = sorted((lease.chunk.id, lease.fence) for lease in leases)
        arguments = {
            "ids": [i for i, _ in ids],
            "fences": [f for _, f in ids],
            "lease_s": self._lease_s,
        }

        def write() -> set[int]:
            with database.cursor(self._engine) as cur:
                kept = {row[0] for row in _rows(cur, _RENEW, arguments)}
            return {i for i, _ in ids} - kept

        return self._retrying(write)

    def settle(self, run_id: int, settlements: Sequence[Settlement]) -> dict[str, int]:
        """Write what became of leases, all or nothing; refused one by one if a fence moved.

        Returns what this adds to the run's counters. Settling again what this worker settled
        before (its COMMIT arrived, the reply did not) changes nothing.
        """
        for scorer in dict.fromkeys(s.scorer for s in settlements if s.scorer):
            self._learn(scorer)

        def write() -> dict[str, int]:
            with database.cursor(self._engine) as cur:
                return self._settle(cur, run_id, settlements)

        return self._retrying(write)

    def pending(self, source_id: int) -> Pending:
        """What is still open of a source."""
        sql = """
            SELECT coalesce(sum(cardinality(record_ids)), 0)::bigint,
                   coalesce(sum(cardinality(record_ids)) FILTER (WHERE parked), 0)::bigint,
                   count(*) FILTER (WHERE NOT parked),
                   extract(epoch FROM min(visible_at) FILTER (WHERE NOT parked) - now())::float8,
                   extract(epoch FROM min(visible_at) FILTER (WHERE parked) - now())::float8,
                   extract(epoch FROM min(greatest(visible_at,
                       created_at + %(overdue_s)s * interval '1 second'))
                       FILTER (WHERE parked AND NOT provisional) - now())::float8
            FROM sentiment.chunk WHERE source_id = %(source_id)s AND state = 'open'
        """
        arguments = {"source_id": source_id, "overdue_s": self._overdue_s}

        def read() -> Pending:
            with database.cursor(self._engine) as cur:
                return Pending(*_rows(cur, sql, arguments)[0])

        return self._retrying(read)

    # -- one transaction, its parts --------------------------------------------------------

    def _store_page(
        self, cur: Cursor, source_id: int, run_id: int, page: Page, planner: Planner
    ) -> tuple[list[Lease], dict[str, int]]:
        unique = {record.external_id: record for record in page.records}
        rows = _upsert(cur, source_id, run_id, unique.values())
        fresh = [(id_, unique[external]) for id_, external, inserted, _ in rows if inserted]
        revised = [
            (id_, unique[external])
            for id_, external, inserted, revised in rows
            if revised and not inserted
        ]
        wanted = [(i, r) for i, r in fresh + _unscored(cur, revised) if r.skip_reason is None]
        items = distinct((Member(i, r.content_hash), r.text) for i, r in wanted)
        leases = self._create_chunks(cur, source_id, run_id, list(planner(items)))
        _quarantine_rows(cur, source_id, run_id, page.partition, page.refusals)
        changes = {
            "read": len(page.records) + len(page.refusals),
            "new": len(fresh),
            "changed": len(rows) - len(fresh),
            "unchanged": len(unique) - len(rows),
            "duplicate": len(page.records) - len(unique),
            "quarantined": len(page.refusals),
            "skipped": sum(r.skip_reason is not None for _, r in fresh + revised),
        }
        _count(cur, run_id, changes)
        return leases, changes

    def _create_chunks(
        self, cur: Cursor, source_id: int, run_id: int, groups: Sequence[tuple[Item, ...]]
    ) -> list[Lease]:
        """New chunks, leased to this worker from the start: they need no claim."""
        chunks = [
            Chunk(id=i, source_id=source_id, root_id=i, items=items)
            for i, items in zip(_reserve_ids(cur, len(groups)), groups, strict=True)
        ]
        if chunks:
            sql = "SELECT now() + %s * interval '1 second'"
            lease_ends = _rows(cur, sql, (self._lease_s,))[0][0]
            _copy_chunks(cur, run_id, chunks, holder=(lease_ends, 1, self._worker))
        return [Lease(chunk, 1) for chunk in chunks]

    def _adopt(
        self, cur: Cursor, source_id: int, run_id: int, page: Page, version: int
    ) -> tuple[list[Lease], dict[str, int]]:
        """The cursor is not where we left it: our own commit whose reply was lost, or another's."""
        sql = """
            SELECT version, run_id, position, updated_at FROM sentiment.cursor
            WHERE source_id = %s AND partition = %s
        """
        found = _rows(cur, sql, (source_id, page.partition))
        if not found or found[0][:3] != (version + 1, run_id, dict(page.position)):
            raise CursorMoved(
                f"Another run moved the cursor of {page.partition or 'this source'}.",
                hint="Nothing is lost: what this run read since was rolled back.",
            )
        sql = """
            SELECT id, fence, root_id, attempts, reason, repeats, parked, provisional,
                   0::float8, record_ids, content_hashes
            FROM sentiment.chunk
            WHERE run_id = %s AND created_at = %s AND leased_by = %s AND fence = 1
              AND state = 'open'
        """
        rows = _rows(cur, sql, (run_id, found[0][3], self._worker))
        leases, _ = _load_leases(cur, source_id, rows)
        return leases, {}

    def _settle(
        self, cur: Cursor, run_id: int, settlements: Sequence[Settlement]
    ) -> dict[str, int]:
        accepted_ids = {row[0] for row in _rows(cur, _SETTLE, _settle_arguments(settlements))}
        accepted = [s for s in settlements if s.lease.chunk.id in accepted_ids]
        refused = [s for s in settlements if s.lease.chunk.id not in accepted_ids]
        self._write_scores(cur, run_id, accepted)
        for settlement in accepted:
            if settlement.kind is SettlementKind.SPLIT:
                _create_parts(cur, run_id, settlement)
            elif settlement.kind is SettlementKind.DEAD:
                _quarantine_members(cur, run_id, settlement)
        changes = _settled_counters(accepted)
        for stale in _moved_on(cur, refused):
            changes.update(stale.calls, fenced=1)
        _count(cur, run_id, changes)
        return changes

    def _write_scores(self, cur: Cursor, run_id: int, accepted: Sequence[Settlement]) -> None:
        """Straight into the table; the careful way, by staging and upsert, only if a score is
        there already (a chunk that was settled and came back, a record rewritten back)."""
        rows = self._score_rows(run_id, accepted)
        if not rows:
            return
        try:
            with cur.connection.transaction():  # a savepoint
                _copy(cur, _COPY_SCORES, _SCORE_TYPES, rows)
        except psycopg.errors.UniqueViolation:
            cur.execute(_STAGE_SCORES)
            _copy(cur, _COPY_STAGED_SCORES, _SCORE_TYPES, rows)
            cur.execute(_UPSERT_SCORES)

    def _score_rows(self, run_id: int, accepted: Sequence[Settlement]) -> list[tuple[Any, ...]]:
        return [
            (record_id, digest, scorer_id, label, score, polarity, why, why is not None, chunk_id,
             run_id)
            for s in accepted
            if s.scorer is not None
            for scorer_id, why, chunk_id in [
                (self._scorer_ids[s.scorer], s.fallback_reason, s.lease.chunk.id)
            ]
            for (record_id, digest), (label, score, polarity) in s.scores
        ]  # fmt: skip

    def _learn(self, scorer: ScorerId) -> None:
        if scorer not in self._scorer_ids:
            self._scorer_ids[scorer] = self._retrying(
                lambda: _register_scorer(self._engine, scorer)
            )

    def _retrying(self, call: Callable[[], T]) -> T:
        return database.retrying(call, patience_s=self._patience_s)


def _rows(cur: Cursor, sql: str, arguments: Any) -> list[Any]:
    return cur.execute(sql, arguments).fetchall()


def _copy(cur: Cursor, sql: str, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    with cur.copy(sql) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _move_cursor(cur: Cursor, source_id: int, run_id: int, page: Page, version: int) -> bool:
    sql = """
        INSERT INTO sentiment.cursor AS c (source_id, partition, position, version, run_id)
        SELECT %(source)s, %(partition)s, %(position)s::jsonb, 1, %(run)s WHERE %(version)s = 0
        ON CONFLICT DO NOTHING RETURNING 1
    """
    if version:
        sql = """
            UPDATE sentiment.cursor SET position = %(position)s::jsonb, version = version + 1,
                run_id = %(run)s, updated_at = now()
            WHERE source_id = %(source)s AND partition = %(partition)s AND version = %(version)s
            RETURNING 1
        """
    arguments = {
        "source": source_id,
        "partition": page.partition,
        "position": json.dumps(dict(page.position)),
        "run": run_id,
        "version": version,
    }
    return bool(_rows(cur, sql, arguments))


def _upsert(cur: Cursor, source_id: int, run_id: int, records: Iterable[Record]) -> list[Any]:
    """(id, external_id, inserted, revised) of each record that is new or differs."""
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
    return _rows(cur, _UPSERT_RECORDS, {"source_id": source_id, "run_id": run_id})


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
    scored = {(i, bytes(digest)) for i, digest in _rows(cur, sql, arguments)}
    return [(i, r) for i, r in revised if (i, r.content_hash) not in scored]


def _reserve_ids(cur: Cursor, count: int) -> list[int]:
    sql = "SELECT nextval('sentiment.chunk_id') FROM generate_series(1, %s)"
    return [row[0] for row in _rows(cur, sql, (count,))] if count else []


def _copy_chunks(
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
        "id, source_id, run_id, root_id, reason, repeats, provisional, record_ids, content_hashes"
    )
    if holder:
        columns += ", visible_at, fence, leased_by"
    with cur.copy(f"COPY sentiment.chunk ({columns}) FROM STDIN") as copy:
        for chunk in chunks:
            members = [member for item in chunk.items for member in item.members]
            row = (
                chunk.id,
                chunk.source_id,
                run_id,
                chunk.root_id,
                chunk.last_reason,
                chunk.repeats,
                chunk.provisional,
                [m.record_id for m in members],
                b"".join([m.content_hash for m in members]),
            )
            copy.write_row(row + (holder or ()))


def _create_parts(cur: Cursor, run_id: int, settlement: Settlement) -> None:
    """A split's children: visible at once, with what is known of their parent's trouble."""
    parent = settlement.lease.chunk
    ids = _reserve_ids(cur, len(settlement.parts))
    children = [
        Chunk(
            id=i,
            source_id=parent.source_id,
            root_id=parent.root_id,
            items=items,
            last_reason=settlement.reason,
            repeats=settlement.repeats,
            provisional=parent.provisional,
        )
        for i, items in zip(ids, settlement.parts, strict=True)
    ]
    _copy_chunks(cur, run_id, children)
    cur.execute(
        "UPDATE sentiment.chunk c SET created_at = p.created_at"
        " FROM sentiment.chunk p WHERE p.id = %s AND c.id = ANY(%s)",
        (parent.id, ids),
    )


def _load_leases(cur: Cursor, source_id: int, rows: Sequence[Any]) -> tuple[list[Lease], int]:
    """Claimed rows -> leases, with the texts of their records as they are now."""
    wanted = sorted({record_id for row in rows for record_id in row[9]})
    sql = "SELECT id, content_hash, text FROM sentiment.record WHERE id = ANY(%s)"
    now = {i: (bytes(digest), text) for i, digest, text in _rows(cur, sql, (wanted,))}
    leases: list[Lease] = []
    superseded = 0
    for id_, fence, root, attempts, reason, repeats, parked, provisional, age, ids, digests in rows:
        members = [Member(i, digests[16 * n : 16 * n + 16]) for n, i in enumerate(ids)]
        current = [
            m for m in members if m.record_id in now and now[m.record_id][0] == m.content_hash
        ]
        superseded += len(members) - len(current)
        chunk = Chunk(
            id=id_,
            source_id=source_id,
            root_id=root,
            items=tuple(distinct((m, now[m.record_id][1]) for m in current)),
            attempts=attempts,
            last_reason=reason,
            repeats=repeats,
            parked=parked,
            provisional=provisional,
            age_s=age,
        )
        leases.append(Lease(chunk, fence))
    return leases, superseded


def _settle_arguments(settlements: Sequence[Settlement]) -> tuple[list[Any], ...]:
    ordered = sorted(settlements, key=lambda s: s.lease.chunk.id)
    return (
        [s.lease.chunk.id for s in ordered],
        [s.lease.fence for s in ordered],
        [_STATE_AFTER[s.kind] for s in ordered],
        [float(s.after_s) for s in ordered],
        [s.attempts for s in ordered],
        [s.reason for s in ordered],
        [min(s.repeats, 32_767) for s in ordered],
        [s.kind is SettlementKind.PARK or _stays_parked(s) for s in ordered],
        [s.fallback_reason is not None for s in ordered],
    )


def _stays_parked(settlement: Settlement) -> bool:
    return settlement.kind is SettlementKind.RELEASE and settlement.lease.chunk.parked


def _settled_counters(accepted: Sequence[Settlement]) -> Counter[str]:
    changes: Counter[str] = Counter()
    for s in accepted:
        changes.update(s.calls)
        changes["provisional" if s.fallback_reason else "scored"] += len(s.scores)
        if s.kind is SettlementKind.DONE:
            changes["undecided"] += s.undecided
        elif s.kind is SettlementKind.DEAD:
            changes["dead"] += s.lease.chunk.record_count
    return changes


def _moved_on(cur: Cursor, refused: Sequence[Settlement]) -> list[Settlement]:
    """Of refused settlements, those whose fence moved; the rest were ours, settled before."""
    if not refused:
        return []
    sql = "SELECT id, fence FROM sentiment.chunk WHERE id = ANY(%s)"
    fences = dict(_rows(cur, sql, ([s.lease.chunk.id for s in refused],)))
    return [s for s in refused if fences.get(s.lease.chunk.id) != s.lease.fence]


def _count(cur: Cursor, run_id: int, changes: Mapping[str, int]) -> None:
    """Add to the run's counters. Names come from `Counters`, never from outside."""
    moved = {name: n for name, n in changes.items() if n}
    assignments = "".join(f", {name} = {name} + %({name})s" for name in moved)
    sql = f"UPDATE sentiment.run SET heartbeat_at = now(){assignments} WHERE id = %(id)s"  # noqa: S608
    cur.execute(sql.encode(), {**moved, "id": run_id})


def _quarantine_rows(
    cur: Cursor, source_id: int, run_id: int, partition: str, refusals: Sequence[Refusal]
) -> None:
    if not refusals:
        return
    sql = """
        INSERT INTO sentiment.quarantine
            (source_id, run_id, stage, partition, "offset", reason, raw, fingerprint)
        VALUES (%s, %s, 'read', %s, %s, %s, %s, %s)
        ON CONFLICT (source_id, fingerprint) DO UPDATE SET run_id = excluded.run_id
    """
    rows = [
        (
            source_id,
            run_id,
            partition,
            storable(refusal.offset),
            storable(refusal.reason),
            refusal.raw[:RAW_LIMIT],
            _fingerprint(partition, refusal.offset, refusal.reason, refusal.raw),
        )
        for refusal in refusals
    ]
    cur.executemany(sql, sorted(rows, key=itemgetter(6)))


def _quarantine_members(cur: Cursor, run_id: int, settlement: Settlement) -> None:
    """The texts of a dead chunk: what the model could not score, with the reason."""
    sql = """
        INSERT INTO sentiment.quarantine
            (source_id, run_id, stage, partition, "offset", reason, raw, fingerprint,
             record_id, chunk_id)
        SELECT source_id, %s, 'score', '', 'record ' || external_id, %s,
               substring(convert_to(text, 'UTF8') FOR %s), %s, id, %s
        FROM sentiment.record WHERE id = %s
        ON CONFLICT (source_id, fingerprint) DO UPDATE SET run_id = excluded.run_id
    """
    chunk = settlement.lease.chunk
    reason = settlement.reason or "rejected"
    for member in (m for item in chunk.items for m in item.members):
        fingerprint = _fingerprint("score", str(member.record_id), "", member.content_hash)
        arguments = (run_id, reason, RAW_LIMIT, fingerprint, chunk.id, member.record_id)
        cur.execute(sql, arguments)


def _fingerprint(partition: str, offset: str, reason: str, raw: bytes) -> bytes:
    place = f"{partition}\0{offset}\0{reason}\0".encode("utf-8", "surrogatepass")
    return blake2b(place + raw, digest_size=16).digest()


def _register_scorer(engine: Engine, scorer: ScorerId) -> int:
    """The scorer's id; the first model that ever answers is current without a promotion."""
    insert = """
        INSERT INTO sentiment.scorer (provider, model, version, promoted_at)
        SELECT %(provider)s, %(model)s, %(version)s,
               CASE WHEN %(provider)s <> 'textblob' AND NOT EXISTS (
                   SELECT FROM sentiment.scorer WHERE promoted_at IS NOT NULL) THEN now() END
        ON CONFLICT (provider, model, version) DO NOTHING
    """
    select = """
        SELECT id FROM sentiment.scorer
        WHERE provider = %(provider)s AND model = %(model)s AND version = %(version)s
    """
    arguments = {
        "provider": scorer.provider,
        "model": scorer.model,
        "version": scorer.version,
    }
    with database.cursor(engine) as cur:
        cur.execute(insert, arguments)
        return int(_rows(cur, select, arguments)[0][0])
