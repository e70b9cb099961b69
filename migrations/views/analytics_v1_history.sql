-- Version 1, what a single record's history is: each score that it ever had, each text that it ever
-- was, and what could not be read or scored. Without raw bytes: those are the operators'.

CREATE VIEW analytics.records AS
SELECT record.id                                         AS record_id,
       record.source_id,
       coalesce(record.published_at, record.ingested_at) AS moment,
       record.external_id,
       record.text,
       record.language,
       record.tags
FROM sentiment.record;
COMMENT ON VIEW analytics.records IS
    'One row a record without its score: the newest are found here at once, and scored in current_sentiment.';
COMMENT ON COLUMN analytics.records.record_id IS 'As in current_sentiment.';
COMMENT ON COLUMN analytics.records.source_id IS 'Of analytics.sources.';
COMMENT ON COLUMN analytics.records.moment IS 'When it was published, else when it was read first.';
COMMENT ON COLUMN analytics.records.external_id IS 'The record''s id at the source.';
COMMENT ON COLUMN analytics.records.text IS 'The text, as the source has it now.';
COMMENT ON COLUMN analytics.records.language IS 'As the source says.';
COMMENT ON COLUMN analytics.records.tags IS 'As in current_sentiment.';

CREATE VIEW analytics.scores AS
SELECT score.record_id,
       source.name                              AS source,
       record.external_id,
       score.label,
       score.score,
       score.polarity,
       scorer.provider                          AS scorer,
       scorer.model,
       scorer.version                           AS model_version,
       score.provisional,
       score.fallback_reason,
       score.scored_at,
       score.content_hash = record.content_hash AS of_present_text,
       score.run_id,
       record.source_id
FROM sentiment.score
JOIN sentiment.scorer ON scorer.id = score.scorer_id
JOIN sentiment.record ON record.id = score.record_id
JOIN sentiment.source ON source.id = record.source_id;
COMMENT ON VIEW analytics.scores IS
    'One row each time that a machine scored a record: what current_sentiment shows, and what it showed before.';
COMMENT ON COLUMN analytics.scores.record_id IS 'As in current_sentiment.';
COMMENT ON COLUMN analytics.scores.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.scores.external_id IS 'The record''s id at the source.';
COMMENT ON COLUMN analytics.scores.label IS 'What the machine said.';
COMMENT ON COLUMN analytics.scores.score IS 'The probability of label, from 0 to 1.';
COMMENT ON COLUMN analytics.scores.polarity IS 'From -1 (negative) to 1 (positive).';
COMMENT ON COLUMN analytics.scores.scorer IS 'Who said so: lambda or textblob.';
COMMENT ON COLUMN analytics.scores.model IS 'Which model.';
COMMENT ON COLUMN analytics.scores.model_version IS 'Which version of it.';
COMMENT ON COLUMN analytics.scores.provisional IS 'True for a TextBlob score in a model''s place.';
COMMENT ON COLUMN analytics.scores.fallback_reason IS 'Why the model did not speak.';
COMMENT ON COLUMN analytics.scores.scored_at IS 'When.';
COMMENT ON COLUMN analytics.scores.of_present_text IS
    'False: the text was another one then; see analytics.revisions.';
COMMENT ON COLUMN analytics.scores.run_id IS 'Of analytics.run_history.';
COMMENT ON COLUMN analytics.scores.source_id IS 'Of analytics.sources.';

CREATE VIEW analytics.revisions AS
SELECT revision.record_id,
       source.name AS source,
       record.external_id,
       revision.revision,
       revision.text,
       revision.published_at,
       revision.replaced_at,
       record.source_id
FROM sentiment.revision
JOIN sentiment.record ON record.id = revision.record_id
JOIN sentiment.source ON source.id = record.source_id;
COMMENT ON VIEW analytics.revisions IS 'One row for each text that a record had before.';
COMMENT ON COLUMN analytics.revisions.record_id IS 'As in current_sentiment.';
COMMENT ON COLUMN analytics.revisions.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.revisions.external_id IS 'The record''s id at the source.';
COMMENT ON COLUMN analytics.revisions.revision IS '1 is what was read first.';
COMMENT ON COLUMN analytics.revisions.text IS 'What it said.';
COMMENT ON COLUMN analytics.revisions.published_at IS 'The source''s own time of it.';
COMMENT ON COLUMN analytics.revisions.replaced_at IS 'When the next text was read.';
COMMENT ON COLUMN analytics.revisions.source_id IS 'Of analytics.sources.';

CREATE VIEW analytics.quarantine AS
SELECT quarantine.id,
       source.name AS source,
       quarantine.stage,
       quarantine.partition,
       quarantine."offset",
       quarantine.reason,
       quarantine.record_id,
       quarantine.run_id,
       quarantine.created_at,
       quarantine.source_id
FROM sentiment.quarantine
JOIN sentiment.source ON source.id = quarantine.source_id;
COMMENT ON VIEW analytics.quarantine IS
    'One row for each row of a source that could not be read, and each record that could not be scored.';
COMMENT ON COLUMN analytics.quarantine.id IS 'What `quarantine show` takes.';
COMMENT ON COLUMN analytics.quarantine.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.quarantine.stage IS 'read or score: where it failed.';
COMMENT ON COLUMN analytics.quarantine.partition IS 'The file, or the part of the source.';
COMMENT ON COLUMN analytics.quarantine."offset" IS 'Where it stands in there.';
COMMENT ON COLUMN analytics.quarantine.reason IS 'Why.';
COMMENT ON COLUMN analytics.quarantine.record_id IS 'As in current_sentiment; null for a row that could not be read.';
COMMENT ON COLUMN analytics.quarantine.run_id IS 'Of analytics.run_history: the run that met it last.';
COMMENT ON COLUMN analytics.quarantine.created_at IS 'When it was met first.';
COMMENT ON COLUMN analytics.quarantine.source_id IS 'Of analytics.sources.';
