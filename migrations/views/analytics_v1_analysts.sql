-- Version 1, what came for analysts: people's word beside the machine's, and roll-ups by day.
-- Columns are added at the end of a view; what stood before keeps its name, type and meaning.

CREATE VIEW analytics.schema_version AS
SELECT version_num AS revision FROM sentiment.alembic_version;
COMMENT ON VIEW analytics.schema_version IS 'Which migration the database is at: one row.';
COMMENT ON COLUMN analytics.schema_version.revision IS 'The migration''s number.';

CREATE VIEW analytics.sources AS
SELECT id, name, kind, created_at FROM sentiment.source;
COMMENT ON VIEW analytics.sources IS 'One row a source that was ever read.';
COMMENT ON COLUMN analytics.sources.id IS 'What source_id means elsewhere.';
COMMENT ON COLUMN analytics.sources.name IS 'As in the configuration.';
COMMENT ON COLUMN analytics.sources.kind IS 'file or sql.';
COMMENT ON COLUMN analytics.sources.created_at IS 'When it was read first.';

CREATE FUNCTION analytics.source_id(name text) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT id FROM analytics.sources WHERE sources.name = $1 $$;
COMMENT ON FUNCTION analytics.source_id(text) IS
    'For WHERE source_id = analytics.source_id(''reviews''): with it, and ORDER BY moment DESC LIMIT n, an index gives the newest rows at once.';

CREATE OR REPLACE VIEW analytics.current_sentiment AS
SELECT source.name                                       AS source,
       record.external_id,
       record.text,
       record.published_at,
       coalesce(person.label, score.label)               AS label,
       CASE WHEN person.label IS NULL THEN score.score ELSE 1 END AS score,
       coalesce(person.polarity, score.polarity)         AS polarity,
       CASE WHEN person.label IS NULL THEN scorer.provider ELSE 'person' END AS scorer,
       scorer.model,
       scorer.version                                    AS model_version,
       CASE WHEN person.label IS NULL THEN score.provisional ELSE false END AS provisional,
       score.fallback_reason,
       score.scored_at,
       record.skip_reason,
       record.author,
       record.language,
       record.tags,
       record.revision,
       record.ingested_at,
       record.id                                         AS record_id,
       record.source_id,
       coalesce(record.published_at, record.ingested_at) AS moment,
       score.label                                       AS machine_label,
       score.polarity                                    AS machine_polarity,
       person.made_by                                    AS overridden_by,
       person.why                                        AS override_why,
       person.made_at                                    AS overridden_at
FROM sentiment.record
JOIN sentiment.source ON source.id = record.source_id
LEFT JOIN LATERAL (
    SELECT s.*
    FROM sentiment.score s
    JOIN sentiment.scorer c ON c.id = s.scorer_id
    WHERE s.record_id = record.id AND s.content_hash = record.content_hash
    -- A fallback never lies over a model's score; of two models the one promoted last speaks.
    ORDER BY c.provider = 'textblob', c.promoted_at DESC NULLS LAST, s.scored_at DESC
    LIMIT 1
) score ON true
LEFT JOIN sentiment.scorer ON scorer.id = score.scorer_id
LEFT JOIN LATERAL (
    SELECT o.label, o.polarity, o.made_by, o.why, o.made_at
    FROM sentiment.override o
    WHERE o.record_id = record.id AND o.content_hash = record.content_hash
    ORDER BY o.id DESC
    LIMIT 1
) person ON person.label IS NOT NULL;
COMMENT ON VIEW analytics.current_sentiment IS
    'One row a record with its current score; label is null while nothing could be said yet.';
COMMENT ON COLUMN analytics.current_sentiment.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.current_sentiment.external_id IS 'The record''s id at the source.';
COMMENT ON COLUMN analytics.current_sentiment.text IS 'The text, as the source has it now.';
COMMENT ON COLUMN analytics.current_sentiment.published_at IS
    'The source''s own time of the record; null where it has none.';
COMMENT ON COLUMN analytics.current_sentiment.label IS
    'The person''s label where there is one, else the model''s; null: nothing could be said yet.';
COMMENT ON COLUMN analytics.current_sentiment.score IS
    'The probability of label, from 0 to 1; 1 for a person''s.';
COMMENT ON COLUMN analytics.current_sentiment.polarity IS
    'From -1 (negative) to 1 (positive): the expected value over the model''s labels.';
COMMENT ON COLUMN analytics.current_sentiment.scorer IS 'Who says so: lambda, textblob or person.';
COMMENT ON COLUMN analytics.current_sentiment.model IS
    'The model of the machine''s score, also where a person''s lies over it.';
COMMENT ON COLUMN analytics.current_sentiment.model_version IS 'That model''s version.';
COMMENT ON COLUMN analytics.current_sentiment.provisional IS
    'True for a TextBlob score that the model will replace; see fallback_reason.';
COMMENT ON COLUMN analytics.current_sentiment.fallback_reason IS
    'Why the model did not speak: an error''s code.';
COMMENT ON COLUMN analytics.current_sentiment.scored_at IS 'When the machine''s score was written.';
COMMENT ON COLUMN analytics.current_sentiment.skip_reason IS
    'Why there is nothing to score: an empty text, for example.';
COMMENT ON COLUMN analytics.current_sentiment.author IS 'As the source says.';
COMMENT ON COLUMN analytics.current_sentiment.language IS 'As the source says.';
COMMENT ON COLUMN analytics.current_sentiment.tags IS
    'The columns that the source''s configuration calls tags, as an object of texts.';
COMMENT ON COLUMN analytics.current_sentiment.revision IS
    '1, and one more for each time that the text was rewritten at the source.';
COMMENT ON COLUMN analytics.current_sentiment.ingested_at IS 'When the record was read first.';
COMMENT ON COLUMN analytics.current_sentiment.record_id IS 'This database''s own id of the record.';
COMMENT ON COLUMN analytics.current_sentiment.source_id IS
    'Of analytics.sources; compare it with analytics.source_id(''name'') to use the index.';
COMMENT ON COLUMN analytics.current_sentiment.moment IS
    'published_at, or ingested_at where the source has no time.';
COMMENT ON COLUMN analytics.current_sentiment.machine_label IS
    'What the machine says, also where a person says something else.';
COMMENT ON COLUMN analytics.current_sentiment.machine_polarity IS 'The machine''s polarity.';
COMMENT ON COLUMN analytics.current_sentiment.overridden_by IS 'Which person judged it; else null.';
COMMENT ON COLUMN analytics.current_sentiment.override_why IS 'Why.';
COMMENT ON COLUMN analytics.current_sentiment.overridden_at IS 'When.';

CREATE OR REPLACE VIEW analytics.daily_sentiment AS
SELECT source.name                                                   AS source,
       daily.day,
       daily.records,
       daily.positive,
       daily.neutral,
       daily.negative,
       daily.micropolarity / 1e6::float8 / nullif(daily.scored, 0)   AS mean_polarity,
       daily.provisional,
       daily.records - daily.scored                                  AS unscored,
       daily.rescored,
       daily.overridden,
       daily.provisional::float8 / nullif(daily.records, 0)          AS share_provisional,
       (daily.records - daily.scored)::float8 / daily.records        AS share_unscored,
       daily.source_id
FROM sentiment.daily
JOIN sentiment.source ON source.id = daily.source_id
WHERE daily.tag = '' AND daily.records > 0;
COMMENT ON VIEW analytics.daily_sentiment IS
    'One row a source and day (UTC, of publication, else of arrival), brought up to date at the end of each run.';
COMMENT ON COLUMN analytics.daily_sentiment.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.daily_sentiment.day IS 'UTC, of publication, else of arrival.';
COMMENT ON COLUMN analytics.daily_sentiment.records IS 'Records of that day, scored or not.';
COMMENT ON COLUMN analytics.daily_sentiment.positive IS
    'Records whose label is positive; a model''s own labels count by polarity: from 1/3 on.';
COMMENT ON COLUMN analytics.daily_sentiment.neutral IS
    'Records whose label is neutral; a model''s own labels count by polarity: between -1/3 and 1/3.';
COMMENT ON COLUMN analytics.daily_sentiment.negative IS
    'Records whose label is negative; a model''s own labels count by polarity: -1/3 and below.';
COMMENT ON COLUMN analytics.daily_sentiment.mean_polarity IS
    'Mean of the scored records'' polarity, to six digits; null if there is none.';
COMMENT ON COLUMN analytics.daily_sentiment.provisional IS
    'Records whose score is TextBlob''s until the model answers.';
COMMENT ON COLUMN analytics.daily_sentiment.unscored IS 'Records without a label.';
COMMENT ON COLUMN analytics.daily_sentiment.rescored IS
    'Records whose text as it stands was scored by more than one model or version.';
COMMENT ON COLUMN analytics.daily_sentiment.overridden IS
    'Records that a person judged, whether or not the machine says the same.';
COMMENT ON COLUMN analytics.daily_sentiment.share_provisional IS 'Of all records, from 0 to 1.';
COMMENT ON COLUMN analytics.daily_sentiment.share_unscored IS 'Of all records, from 0 to 1.';
COMMENT ON COLUMN analytics.daily_sentiment.source_id IS 'Of analytics.sources.';

CREATE VIEW analytics.daily_by_tag AS
SELECT source.name                                                   AS source,
       daily.day,
       daily.tag,
       daily.value,
       daily.records,
       daily.positive,
       daily.neutral,
       daily.negative,
       daily.micropolarity / 1e6::float8 / nullif(daily.scored, 0)   AS mean_polarity,
       daily.provisional,
       daily.records - daily.scored                                  AS unscored,
       daily.rescored,
       daily.overridden,
       daily.provisional::float8 / nullif(daily.records, 0)          AS share_provisional,
       (daily.records - daily.scored)::float8 / daily.records        AS share_unscored,
       daily.source_id
FROM sentiment.daily
JOIN sentiment.source ON source.id = daily.source_id
WHERE daily.tag <> '' AND daily.records > 0;
COMMENT ON VIEW analytics.daily_by_tag IS
    'daily_sentiment once more for each value of each tag that records carry; a record counts under each of its tags.';
COMMENT ON COLUMN analytics.daily_by_tag.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.daily_by_tag.day IS 'UTC, of publication, else of arrival.';
COMMENT ON COLUMN analytics.daily_by_tag.tag IS 'The tag''s name: a column of the source.';
COMMENT ON COLUMN analytics.daily_by_tag.value IS 'Its value, cut after 200 characters.';
COMMENT ON COLUMN analytics.daily_by_tag.records IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.positive IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.neutral IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.negative IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.mean_polarity IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.provisional IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.unscored IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.rescored IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.overridden IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.share_provisional IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.share_unscored IS 'As in daily_sentiment.';
COMMENT ON COLUMN analytics.daily_by_tag.source_id IS 'Of analytics.sources.';

CREATE VIEW analytics.overrides AS
SELECT override.id,
       source.name            AS source,
       record.external_id,
       record.text,
       override.label,
       override.polarity,
       machine.label          AS machine_label,
       machine.polarity       AS machine_polarity,
       scorer.model,
       scorer.version         AS model_version,
       override.made_by,
       override.why,
       override.made_at,
       NOT EXISTS (
           SELECT FROM sentiment.override later
           WHERE later.record_id = override.record_id
             AND later.content_hash = override.content_hash AND later.id > override.id
       ) AND override.label IS NOT NULL
         AND override.content_hash = record.content_hash AS in_force
FROM sentiment.override
JOIN sentiment.record ON record.id = override.record_id
JOIN sentiment.source ON source.id = record.source_id
LEFT JOIN LATERAL (
    SELECT s.*
    FROM sentiment.score s
    JOIN sentiment.scorer c ON c.id = s.scorer_id
    WHERE s.record_id = override.record_id AND s.content_hash = override.content_hash
    ORDER BY c.provider = 'textblob', c.promoted_at DESC NULLS LAST, s.scored_at DESC
    LIMIT 1
) machine ON true
LEFT JOIN sentiment.scorer ON scorer.id = machine.scorer_id;
COMMENT ON VIEW analytics.overrides IS
    'One row each time that a person judged a record, or took that back (label null).';
COMMENT ON COLUMN analytics.overrides.id IS 'In the order in which they were made.';
COMMENT ON COLUMN analytics.overrides.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.overrides.external_id IS 'The record''s id at the source.';
COMMENT ON COLUMN analytics.overrides.text IS 'The record''s text now.';
COMMENT ON COLUMN analytics.overrides.label IS 'What the person says; null: the machine''s holds again.';
COMMENT ON COLUMN analytics.overrides.polarity IS 'From -1 to 1.';
COMMENT ON COLUMN analytics.overrides.machine_label IS 'What the machine says of the same text.';
COMMENT ON COLUMN analytics.overrides.machine_polarity IS 'From -1 to 1.';
COMMENT ON COLUMN analytics.overrides.model IS 'Which model.';
COMMENT ON COLUMN analytics.overrides.model_version IS 'Which version of it.';
COMMENT ON COLUMN analytics.overrides.made_by IS 'Who.';
COMMENT ON COLUMN analytics.overrides.why IS 'Why.';
COMMENT ON COLUMN analytics.overrides.made_at IS 'When.';
COMMENT ON COLUMN analytics.overrides.in_force IS
    'True where current_sentiment shows it: the last word on the text as it stands.';

COMMENT ON COLUMN analytics.run_history.id IS 'In the order in which they began.';
COMMENT ON COLUMN analytics.run_history.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.run_history.trigger IS
    'Why it ran: once, schedule, drain (of what waited), redrive, retry or backfill.';
COMMENT ON COLUMN analytics.run_history.state IS
    'running; done; quarantined (done, some rows refused); degraded (some records wait); partial; '
    'failed; stopped; lost (its process died); paused; over_budget; missed (it never began).';
COMMENT ON COLUMN analytics.run_history.started_at IS 'When it began.';
COMMENT ON COLUMN analytics.run_history.finished_at IS 'When it ended; null while it runs.';
COMMENT ON COLUMN analytics.run_history.duration IS 'finished_at - started_at.';
COMMENT ON COLUMN analytics.run_history.error IS 'Why it did not end well, in a sentence.';
COMMENT ON COLUMN analytics.run_history.read IS 'Rows read, the sum of the five that follow.';
COMMENT ON COLUMN analytics.run_history.new IS 'Records seen for the first time.';
COMMENT ON COLUMN analytics.run_history.changed IS 'Records that were rewritten at the source.';
COMMENT ON COLUMN analytics.run_history.unchanged IS 'Records that were there already.';
COMMENT ON COLUMN analytics.run_history.duplicate IS 'Ids that came again in the same page.';
COMMENT ON COLUMN analytics.run_history.quarantined IS 'Rows that could not become records.';
COMMENT ON COLUMN analytics.run_history.skipped IS 'Of new and changed: nothing to score.';
COMMENT ON COLUMN analytics.run_history.scored IS 'Records that the model scored.';
COMMENT ON COLUMN analytics.run_history.provisional IS 'Records that TextBlob scored meanwhile.';
COMMENT ON COLUMN analytics.run_history.undecided IS 'Records that TextBlob could not judge.';
COMMENT ON COLUMN analytics.run_history.superseded IS 'Records rewritten before they were scored.';
COMMENT ON COLUMN analytics.run_history.dead IS 'Records that the model could not score.';
COMMENT ON COLUMN analytics.run_history.invocations IS 'Calls of the Lambda.';
COMMENT ON COLUMN analytics.run_history.texts_sent IS 'Texts in them; equal texts are sent once.';
COMMENT ON COLUMN analytics.run_history.throttled IS 'Calls that were throttled.';
COMMENT ON COLUMN analytics.run_history.failed IS 'Calls without a usable answer.';
COMMENT ON COLUMN analytics.run_history.fenced IS
    'Outcomes that came too late, and were refused: somebody else had taken over.';
COMMENT ON COLUMN analytics.run_history.billed_ms IS 'Milliseconds, by Lambda''s report lines.';
COMMENT ON COLUMN analytics.run_history.billed_mb_ms IS
    'Megabytes times milliseconds; / 1,024,000 is GB-seconds.';
COMMENT ON COLUMN analytics.run_history.backfill_id IS 'The backfill that it worked for, if any.';
COMMENT ON COLUMN analytics.run_history.due_at IS 'When the schedule wanted it.';
COMMENT ON COLUMN analytics.run_history.warnings IS 'What was unlike the last weeks.';

COMMENT ON COLUMN analytics.pending_work.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.pending_work.chunks IS 'Chunks that are not finished.';
COMMENT ON COLUMN analytics.pending_work.records IS 'Records in them.';
COMMENT ON COLUMN analytics.pending_work.provisional_records IS
    'Of them, those that TextBlob was asked about.';
COMMENT ON COLUMN analytics.pending_work.leased_chunks IS 'Chunks that a worker has in hand now.';
COMMENT ON COLUMN analytics.pending_work.oldest IS 'Since when the oldest waits.';

COMMENT ON COLUMN analytics.backfills.id IS 'What `backfill status ID` takes.';
COMMENT ON COLUMN analytics.backfills.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.backfills.state IS 'planned, running, paused, cancelled or done.';
COMMENT ON COLUMN analytics.backfills.reason IS 'Why it is in that state.';
COMMENT ON COLUMN analytics.backfills.since IS 'Records from this moment on; null: from the first.';
COMMENT ON COLUMN analytics.backfills.until IS 'Records before this moment; null: to the last.';
COMMENT ON COLUMN analytics.backfills.records IS 'Records planned.';
COMMENT ON COLUMN analytics.backfills.leased_chunks IS 'Chunks that a worker has in hand now.';
COMMENT ON COLUMN analytics.backfills.planned_invocations IS 'Calls planned.';
COMMENT ON COLUMN analytics.backfills.invocations IS 'Calls made.';
COMMENT ON COLUMN analytics.backfills.billed_mb_ms IS
    'Megabytes times milliseconds; / 1,024,000 is GB-seconds.';
COMMENT ON COLUMN analytics.backfills.seconds IS 'Time that its runs took.';
COMMENT ON COLUMN analytics.backfills.scored IS 'Records that the model scored.';
COMMENT ON COLUMN analytics.backfills.superseded IS 'Records rewritten since it was planned.';
COMMENT ON COLUMN analytics.backfills.dead IS 'Records that the model could not score.';
COMMENT ON COLUMN analytics.backfills.max_cost IS 'US dollars at which it stops.';
COMMENT ON COLUMN analytics.backfills.created_by IS 'Who planned it.';
COMMENT ON COLUMN analytics.backfills.created_at IS 'When.';
COMMENT ON COLUMN analytics.backfills.changed_by IS 'Who changed its state last.';
COMMENT ON COLUMN analytics.backfills.changed_at IS 'When.';

CREATE FUNCTION analytics.matches(body text, query text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT to_tsvector('english', $1) @@ websearch_to_tsquery('english', $2) $$;
COMMENT ON FUNCTION analytics.matches(text, text) IS
    'Does the text hold these words? As a search engine reads them: refund -shipping "lost bag" or "no reply".';
