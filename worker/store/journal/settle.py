"""Settle: what became of leases, all or nothing, refused one by one if a fence moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from worker import crashpoint
from worker.records import Chunk, ScorerId, Settlement, SettlementKind
from worker.store import driver
from worker.store.driver import Cursor
from worker.store.journal import chunks, quarantine

ScorerIds = Mapping[ScorerId, int]

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

_SCORE_COLUMNS = (
    "record_id, content_hash, scorer_id, label, score, polarity, fallback_reason, provisional,"
    " chunk_id, run_id, language"
)
_SCORE_TYPES = (
    *("int8", "bytea", "int4", "text", "float8", "float8", "text", "bool", "int8", "int8"),
    "text",
)

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


def settle(
    cur: Cursor, run_id: int, settlements: Sequence[Settlement], scorer_ids: ScorerIds
) -> dict[str, int]:
    crashpoint.reached("settle.begun")
    accepted_ids = {row[0] for row in driver.rows(cur, _SETTLE, _settle_arguments(settlements))}
    crashpoint.reached("settle.fenced")
    accepted = [s for s in settlements if s.lease.chunk.id in accepted_ids]
    refused = [s for s in settlements if s.lease.chunk.id not in accepted_ids]
    _write_scores(cur, run_id, accepted, scorer_ids)
    for settlement in accepted:
        if settlement.kind is SettlementKind.SPLIT:
            _create_parts(cur, run_id, settlement)
            crashpoint.reached("split.before_commit")
        elif settlement.kind is SettlementKind.DEAD:
            quarantine.keep_members(cur, run_id, settlement)
    # Only what was tried before, or is scored again on purpose, can be in quarantine.
    again = [
        s
        for s in accepted
        if s.kind is SettlementKind.DONE
        and (s.lease.chunk.last_reason or s.lease.chunk.lane.is_backfill)
    ]
    quarantine.forget_members(cur, [member for s in again for member, _ in s.scores])
    changes = _settled_counters(accepted)
    late = _moved_on(cur, refused)
    for stale in late:
        changes.update(stale.calls, fenced=1)
    _count_spending(cur, accepted, late, scorer_ids)
    chunks.add_to_run(cur, run_id, changes)
    crashpoint.reached("settle.before_commit")
    return changes


def _count_spending(
    cur: Cursor, accepted: Sequence[Settlement], late: Sequence[Settlement], scorer_ids: ScorerIds
) -> None:
    """A call costs whether or not its settlement was in time; ordered, so that none deadlock."""
    spent: dict[tuple[int, int], Counter[str]] = {}
    for s in (*accepted, *late):
        if not s.calls:
            continue
        good = s.scorer is not None and s.fallback_reason is None
        key = s.lease.chunk.lane.source_id, scorer_ids[s.scorer] if s.scorer and good else 0
        entry = spent.setdefault(key, Counter())
        entry.update(s.calls)
        entry["records"] += s.lease.chunk.record_count if good else 0
    sql = """
        INSERT INTO sentiment.spend AS s
            (day, source_id, scorer_id, invocations, texts, records, billed_ms, billed_mb_ms,
             unreported)
        VALUES ((now() AT TIME ZONE 'UTC')::date, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (day, source_id, scorer_id) DO UPDATE SET
            invocations = s.invocations + excluded.invocations, texts = s.texts + excluded.texts,
            records = s.records + excluded.records, billed_ms = s.billed_ms + excluded.billed_ms,
            billed_mb_ms = s.billed_mb_ms + excluded.billed_mb_ms,
            unreported = s.unreported + excluded.unreported
    """
    names = ("invocations", "texts_sent", "records", "billed_ms", "billed_mb_ms", "unreported")
    for key, entry in sorted(spent.items()):
        cur.execute(sql, (*key, *(entry[name] for name in names)))


def register_scorer(cur: Cursor, scorer: ScorerId) -> int:
    """The scorer's id; the first model that ever answers is current without a promotion."""
    insert = """
        INSERT INTO sentiment.scorer (provider, model, version, languages, promoted_at)
        SELECT %(provider)s, %(model)s, %(version)s, %(languages)s::text[],
               CASE WHEN %(provider)s <> 'textblob' AND NOT EXISTS (
                   SELECT FROM sentiment.scorer WHERE promoted_at IS NOT NULL) THEN now() END
        ON CONFLICT (provider, model, version) DO UPDATE SET languages = excluded.languages
            WHERE scorer.languages IS NULL AND excluded.languages IS NOT NULL
    """
    select = """
        SELECT id FROM sentiment.scorer
        WHERE provider = %(provider)s AND model = %(model)s AND version = %(version)s
    """
    arguments = {
        "provider": scorer.provider,
        "model": scorer.model,
        "version": scorer.version,
        "languages": list(scorer.languages) or None,
    }
    cur.execute(insert, arguments)
    return int(driver.rows(cur, select, arguments)[0][0])


def _write_scores(
    cur: Cursor, run_id: int, accepted: Sequence[Settlement], scorer_ids: ScorerIds
) -> None:
    """Straight into the table; the careful way, by staging and upsert, only if a score is
    there already (a chunk that was settled and came back, a record rewritten back)."""
    rows = _score_rows(run_id, accepted, scorer_ids)
    if not rows:
        return
    try:
        with cur.connection.transaction():  # a savepoint
            driver.copy_rows(cur, _COPY_SCORES, _SCORE_TYPES, rows)
    except psycopg.errors.UniqueViolation:
        cur.execute(_STAGE_SCORES)
        driver.copy_rows(cur, _COPY_STAGED_SCORES, _SCORE_TYPES, rows)
        cur.execute(_UPSERT_SCORES)


def _score_rows(
    run_id: int, accepted: Sequence[Settlement], scorer_ids: ScorerIds
) -> list[tuple[Any, ...]]:
    return [
        (record_id, digest, scorer_id, label, score, polarity, why, why is not None, chunk_id,
         run_id, language)
        for s in accepted
        if s.scorer is not None
        for scorer_id, why, chunk_id in [
            (scorer_ids[s.scorer], s.fallback_reason, s.lease.chunk.id)
        ]
        for (record_id, digest), (label, score, polarity, language) in s.scores
    ]  # fmt: skip


def _create_parts(cur: Cursor, run_id: int, settlement: Settlement) -> None:
    """A split's children: visible at once, with what is known of their parent's trouble."""
    parent = settlement.lease.chunk
    ids = chunks.reserve_ids(cur, len(settlement.parts))
    children = [
        Chunk(
            id=i,
            lane=parent.lane,
            root_id=parent.root_id,
            items=items,
            last_reason=settlement.reason,
            repeats=settlement.repeats,
            provisional=parent.provisional,
        )
        for i, items in zip(ids, settlement.parts, strict=True)
    ]
    chunks.copy_chunks(cur, run_id, children)
    cur.execute(
        "UPDATE sentiment.chunk c SET created_at = p.created_at"
        " FROM sentiment.chunk p WHERE p.id = %s AND c.id = ANY(%s)",
        (parent.id, ids),
    )


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
        if _STATE_AFTER[s.kind] != "open":
            changes["superseded"] += s.lease.chunk.superseded
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
    fences = dict(driver.rows(cur, sql, ([s.lease.chunk.id for s in refused],)))
    return [s for s in refused if fences.get(s.lease.chunk.id) != s.lease.fence]
