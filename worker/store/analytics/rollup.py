"""Roll-ups by day, kept up to date by what changed.

Triggers leave the numbers of the blocks whose records, scores or overrides change in `touched`,
in the transaction that changes them. A fold takes some of those blocks, counts them anew, and
moves `daily` by the difference to what they had counted for. So the work grows with what changed,
and what is folded is exact: docs/decisions/0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from worker.store import database, driver
from worker.store.analytics.scores import MOST

BLOCK_BITS = 13
"""8,192 records a block: a run that touches one record counts so many anew, in about 30 ms."""

BLOCKS_AT_ONCE = 8
"""In one transaction."""


_KEY = "hashtext('sentiment-worker roll-up')"

# Blocks without extremes, without a number of unsupported records, or with records that are gone:
# counted before migration 0012, 0015 or 0018, or by a worker of the version before.
_TOUCH_INCOMPLETE = """
INSERT INTO sentiment.touched
SELECT block FROM sentiment.tally WHERE lowest IS NULL AND scored > 0
UNION SELECT block FROM sentiment.tally WHERE unsupported IS NULL
UNION SELECT block FROM sentiment.tally WHERE without_gone IS NULL
"""

# Rows of `touched` are deleted before the records are read: what is touched later is in a later
# row, which stays for the next fold.
_TAKE = """
DELETE FROM sentiment.touched WHERE block IN (
    SELECT DISTINCT block FROM sentiment.touched ORDER BY block LIMIT %(limit)s)
RETURNING block
"""

COLUMNS = (
    *("records", "scored", "positive", "neutral", "negative"),
    *("provisional", "rescored", "overridden", "micropolarity"),
)
_NAMES = ", ".join(COLUMNS)
_ZEROS = ", ".join("0" for _ in COLUMNS)
_MOVED = ", ".join(f"sum(sign * {name})::bigint AS {name}" for name in COLUMNS)
_ADDED = ", ".join(f"{name} = d.{name} + excluded.{name}" for name in COLUMNS)
# A model's own labels ("4 stars") count by polarity, in thirds.
_OWN = "label NOT IN ('positive', 'neutral', 'negative') AND polarity"
_COUNTS = f"""count(*), count(label),
           count(*) FILTER (WHERE label = 'positive' OR {_OWN} >= 1.0 / 3),
           count(*) FILTER (WHERE label = 'neutral' OR {_OWN} > -1.0 / 3 AND polarity < 1.0 / 3),
           count(*) FILTER (WHERE label = 'negative' OR {_OWN} <= -1.0 / 3),
           count(*) FILTER (WHERE provisional), count(*) FILTER (WHERE rescored),
           count(*) FILTER (WHERE overridden),
           coalesce(sum(round(polarity * 1e6)::bigint), 0)::bigint,
           count(*) FILTER (WHERE unsupported)"""
# Of one sorted array both ends, the outermost first.
_EXTREMES = f"""lowest, highest, by_polarity[1:{MOST}],
    ARRAY(SELECT by_polarity[i] FROM generate_series(
        cardinality(by_polarity), greatest(1, cardinality(by_polarity) - {MOST - 1}), -1) i)"""  # noqa: S608
_ENDS = """min(polarity), max(polarity),
           array_agg(id ORDER BY polarity, id) FILTER (WHERE polarity IS NOT NULL)"""

_FOLD = f"""
WITH person AS MATERIALIZED (
    SELECT DISTINCT ON (o.record_id) o.record_id, o.label, o.polarity
    FROM sentiment.override o
    JOIN sentiment.record r ON r.id = o.record_id AND r.content_hash = o.content_hash
    WHERE o.record_id >= %(first)s AND o.record_id < %(end)s
    ORDER BY o.record_id, o.id DESC
), spoken AS MATERIALIZED (
    -- Of each record's text as it stands: the word that counts, and whether several models spoke.
    -- As analytics.current_sentiment says it; a test holds the two together.
    SELECT DISTINCT ON (r.id)
           r.id, r.source_id, r.tags,
           (coalesce(r.published_at, r.ingested_at) AT TIME ZONE 'UTC')::date AS day,
           coalesce(p.label, s.label) AS label,
           coalesce(p.polarity, s.polarity) AS polarity,
           p.label IS NULL AND s.provisional IS TRUE AS provisional,
           count(*) FILTER (WHERE NOT s.provisional) OVER (PARTITION BY r.id) > 1 AS rescored,
           p.label IS NOT NULL AS overridden,
           coalesce(p.label, s.label) IS NOT NULL AND p.label IS NULL
               AND NOT analytics.reads(c.languages, r.language, s.language)
               AS unsupported
    FROM sentiment.record r
    LEFT JOIN sentiment.score s ON s.record_id = r.id AND s.content_hash = r.content_hash
        AND s.record_id >= %(first)s AND s.record_id < %(end)s  -- the planner does not conclude it
    LEFT JOIN sentiment.scorer c ON c.id = s.scorer_id
    LEFT JOIN person p ON p.record_id = r.id
    WHERE r.id >= %(first)s AND r.id < %(end)s AND r.gone_at IS NULL
    ORDER BY r.id, c.provider = 'textblob', c.promoted_at DESC NULLS LAST, s.scored_at DESC
), judged AS MATERIALIZED (
    -- A label that its scorer could only guess does not count.
    SELECT id, source_id, tags, day, CASE WHEN NOT unsupported THEN label END AS label,
           CASE WHEN NOT unsupported THEN polarity END AS polarity,
           provisional, rescored, overridden, unsupported
    FROM spoken
), fresh (source_id, day, tag, value, {_NAMES}, unsupported, lowest, highest, by_polarity)
AS MATERIALIZED (
    SELECT source_id, day, '', '', {_COUNTS}, {_ENDS} FROM judged GROUP BY source_id, day
    UNION ALL
    SELECT source_id, day, left(tag.key, 200), left(tag.value, 200), {_COUNTS}, {_ENDS}
    FROM judged CROSS JOIN jsonb_each_text(tags) tag
    WHERE tag.key <> '' AND tag.value IS NOT NULL
    GROUP BY source_id, day, left(tag.key, 200), left(tag.value, 200)
), before AS (
    DELETE FROM sentiment.tally WHERE block = %(block)s
    RETURNING source_id, day, tag, value, {_NAMES}
), kept AS (
    -- Triggers move what of `daily` is unsupported.
    INSERT INTO sentiment.tally (block, source_id, day, tag, value, {_NAMES}, unsupported,
                                 lowest, highest, lowest_ids, highest_ids, without_gone)
    SELECT %(block)s, source_id, day, tag, value, {_NAMES}, unsupported, {_EXTREMES}, true
    FROM fresh
), moved AS (
    SELECT source_id, day, tag, value, {_MOVED}
    FROM (SELECT 1 AS sign, source_id, day, tag, value, {_NAMES} FROM fresh
          UNION ALL SELECT -1, * FROM before) both_
    GROUP BY source_id, day, tag, value
)
INSERT INTO sentiment.daily AS d (source_id, day, tag, value, {_NAMES})
SELECT * FROM moved WHERE ({_NAMES}) <> ({_ZEROS})
ORDER BY source_id, tag, value, day
ON CONFLICT (source_id, tag, value, day) DO UPDATE SET {_ADDED}
"""  # noqa: S608  only the names of columns go in


def fold(engine: Engine, *, wait: bool = False) -> int:
    """Bring `daily` up to date with what was changed until now; returns how many blocks were
    counted anew.

    Safe to call from many processes: one of them folds. The others leave it to that one, or with
    `wait` until it is their turn.
    """
    with database.cursor(engine) as cur:
        cur.execute(_TOUCH_INCOMPLETE.encode())
        sql = "SELECT count(DISTINCT block) FROM sentiment.touched"
        left = int(driver.rows(cur, sql, ())[0][0])
    done = 0
    while done < left and (blocks := _fold_some(engine, wait=wait)):
        done += blocks
    return done


def hold(connection: Connection) -> None:
    """Let nobody fold before this transaction ends."""
    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_KEY})"))


def _fold_some(engine: Engine, *, wait: bool) -> int:
    with database.cursor(engine) as cur:
        if wait:
            cur.execute(f"SELECT pg_advisory_xact_lock({_KEY})".encode())
        elif not driver.rows(cur, f"SELECT pg_try_advisory_xact_lock({_KEY})", ())[0][0]:
            return 0
        taken = driver.rows(cur, _TAKE, {"limit": BLOCKS_AT_ONCE})
        blocks = sorted({block for (block,) in taken})
        for block in blocks:
            first, end = block << BLOCK_BITS, (block + 1) << BLOCK_BITS
            cur.execute(_FOLD.encode(), {"block": block, "first": first, "end": end})
        return len(blocks)
