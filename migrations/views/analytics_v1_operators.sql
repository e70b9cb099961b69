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

-- The schedule's work; what backfills hold is in the view backfills.
CREATE OR REPLACE VIEW analytics.pending_work AS
SELECT source.name                                        AS source,
       count(chunk.id)                                    AS chunks,
       coalesce(sum(cardinality(chunk.record_ids)), 0)    AS records,
       coalesce(sum(cardinality(chunk.record_ids)) FILTER (WHERE chunk.provisional), 0)
                                                          AS provisional_records,
       count(chunk.id) FILTER (WHERE chunk.leased_by IS NOT NULL AND chunk.visible_at > now())
                                                          AS leased_chunks,
       min(chunk.created_at)                              AS oldest
FROM sentiment.source
LEFT JOIN sentiment.chunk
    ON chunk.source_id = source.id AND chunk.state = 'open' AND chunk.lane = 0
GROUP BY source.id;
COMMENT ON VIEW analytics.pending_work IS
    'What still waits for the model, by source. Of provisional records TextBlob was asked meanwhile.';

CREATE VIEW analytics.backfills AS
SELECT backfill.id,
       source.name                                            AS source,
       backfill.state,
       backfill.reason,
       (backfill.selection ->> 'since')::timestamptz          AS since,
       (backfill.selection ->> 'until')::timestamptz          AS until,
       (backfill.plan ->> 'records')::bigint                  AS records,
       coalesce(windows.opened, 0) - coalesce(chunks.open, 0)
           - coalesce(chunks.cancelled, 0)                    AS finished,
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
    SELECT sum(cardinality(c.record_ids)) FILTER (WHERE c.state = 'open')::bigint      AS open,
           sum(cardinality(c.record_ids)) FILTER (WHERE c.state = 'cancelled')::bigint AS cancelled,
           count(*) FILTER (WHERE c.state = 'open' AND c.leased_by IS NOT NULL)        AS leased
    FROM sentiment.chunk c
    WHERE c.source_id = backfill.source_id AND c.lane = backfill.id
      AND c.state IN ('open', 'cancelled')
) chunks ON true
LEFT JOIN LATERAL (
    SELECT sum(r.invocations)::bigint AS invocations, sum(r.billed_mb_ms)::bigint AS billed_mb_ms,
           sum(r.scored)::bigint AS scored, sum(r.superseded)::bigint AS superseded,
           sum(r.dead)::bigint AS dead,
           sum(extract(epoch FROM coalesce(r.finished_at, r.heartbeat_at) - r.started_at))::float8
               AS seconds
    FROM sentiment.run r WHERE r.source_id = backfill.source_id AND r.lane = backfill.id
) runs ON true;
COMMENT ON VIEW analytics.backfills IS
    'One row a planned backfill: what it should do, how far it is, what it has cost.';
COMMENT ON COLUMN analytics.backfills.finished IS
    'Records that need nothing more: scored, rewritten since, or in quarantine.';
