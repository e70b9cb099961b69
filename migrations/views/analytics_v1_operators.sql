-- Version 1, what came later: columns at the end of a view, and views of their own.

CREATE OR REPLACE VIEW analytics.run_history AS
SELECT run.id, source.name AS source, run.trigger, run.state, run.started_at, run.finished_at,
       run.finished_at - run.started_at AS duration, run.error,
       run.read, run.new, run.changed, run.unchanged, run.duplicate, run.quarantined,
       run.skipped, run.scored, run.provisional, run.undecided, run.superseded, run.dead,
       run.invocations, run.texts_sent, run.throttled, run.failed, run.fenced,
       run.billed_ms, run.billed_mb_ms, nullif(run.lane, 0) AS backfill_id,
       run.due_at, run.warnings
FROM sentiment.run JOIN sentiment.source ON source.id = run.source_id;

CREATE VIEW analytics.backfills AS
SELECT backfill.id,
       source.name                                            AS source,
       backfill.state,
       backfill.reason,
       (backfill.selection ->> 'since')::timestamptz          AS since,
       (backfill.selection ->> 'until')::timestamptz          AS until,
       (backfill.plan ->> 'records')::bigint                  AS records,
       coalesce(windows.opened, 0) - coalesce(chunks.open, 0) AS finished,
       coalesce(chunks.leased, 0)                             AS leased_chunks,
       (backfill.plan ->> 'invocations')::bigint              AS planned_invocations,
       coalesce(runs.invocations, 0)                          AS invocations,
       coalesce(runs.billed_mb_ms, 0)                         AS billed_mb_ms,
       coalesce(runs.seconds, 0)                              AS seconds,
       coalesce(runs.scored, 0)                               AS scored,
       coalesce(runs.superseded, 0)                           AS superseded,
       coalesce(runs.dead, 0)                                 AS dead,
       backfill.max_cost,
       backfill.created_by,
       backfill.created_at,
       backfill.changed_by,
       backfill.changed_at
FROM sentiment.backfill
JOIN sentiment.source ON source.id = backfill.source_id
LEFT JOIN LATERAL (
    SELECT sum(cardinality(w.record_ids))::bigint AS opened
    FROM sentiment.backfill_window w
    WHERE w.backfill_id = backfill.id AND w.opened_at IS NOT NULL
) windows ON true
LEFT JOIN LATERAL (
    SELECT sum(cardinality(c.record_ids))::bigint             AS open,
           count(*) FILTER (WHERE c.leased_by IS NOT NULL)    AS leased
    FROM sentiment.chunk c
    WHERE c.source_id = backfill.source_id AND c.lane = backfill.id AND c.state = 'open'
) chunks ON true
LEFT JOIN LATERAL (
    SELECT sum(r.invocations)::bigint AS invocations, sum(r.billed_mb_ms)::bigint AS billed_mb_ms,
           sum(r.scored)::bigint AS scored, sum(r.superseded)::bigint AS superseded,
           sum(r.dead)::bigint AS dead,
           sum(extract(epoch FROM coalesce(r.finished_at, now()) - r.started_at))::float8 AS seconds
    FROM sentiment.run r WHERE r.source_id = backfill.source_id AND r.lane = backfill.id
) runs ON true;
COMMENT ON VIEW analytics.backfills IS
    'One row a planned backfill: what it should do, how far it is, what it has cost.';
COMMENT ON COLUMN analytics.backfills.finished IS
    'Records that need nothing more: scored, rewritten since, in quarantine, or cancelled.';
