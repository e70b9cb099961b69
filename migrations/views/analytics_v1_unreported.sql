-- Version 1, what came with migration 0014: columns at the end of a view.

CREATE OR REPLACE VIEW analytics.run_history AS
SELECT run.id, source.name AS source, run.trigger, run.state, run.started_at, run.finished_at,
       run.finished_at - run.started_at AS duration, run.error,
       run.read, run.new, run.changed, run.unchanged, run.duplicate, run.quarantined,
       run.skipped, run.scored, run.provisional, run.undecided, run.superseded, run.dead,
       run.invocations, run.texts_sent, run.throttled, run.failed, run.fenced,
       run.billed_ms, run.billed_mb_ms, nullif(run.lane, 0) AS backfill_id,
       run.due_at, run.warnings, run.unreported
FROM sentiment.run JOIN sentiment.source ON source.id = run.source_id;
COMMENT ON COLUMN analytics.run_history.unreported IS
    'Calls without a report line of Lambda''s: billed_ms and billed_mb_ms count the most that they '
    'can have cost.';

CREATE OR REPLACE VIEW analytics.schema_version AS
SELECT version_num AS revision,
       (SELECT oldest_worker FROM sentiment.tolerated LIMIT 1) AS oldest_worker
FROM sentiment.alembic_version;
COMMENT ON COLUMN analytics.schema_version.oldest_worker IS
    'The oldest migration whose workers may go on working on this schema.';
