-- What analysts may rely on. A change that breaks a reader is a new file and a new version.

CREATE VIEW analytics.current_sentiment AS
SELECT source.name                     AS source,
       record.external_id,
       record.text,
       record.published_at,
       score.label,
       score.score,
       score.polarity,
       scorer.provider                 AS scorer,
       scorer.model,
       scorer.version                  AS model_version,
       score.provisional,
       score.fallback_reason,
       score.scored_at,
       record.skip_reason,
       record.author,
       record.language,
       record.tags,
       record.revision,
       record.ingested_at,
       record.id                       AS record_id
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
LEFT JOIN sentiment.scorer ON scorer.id = score.scorer_id;
COMMENT ON VIEW analytics.current_sentiment IS
    'One row a record with its current score; label is null while nothing could be said yet.';
COMMENT ON COLUMN analytics.current_sentiment.polarity IS
    'From -1 (negative) to 1 (positive): the expected value over the model''s labels.';
COMMENT ON COLUMN analytics.current_sentiment.score IS
    'The probability of label, from 0 to 1.';
COMMENT ON COLUMN analytics.current_sentiment.provisional IS
    'True for a TextBlob score that the model will replace; see fallback_reason.';

CREATE VIEW analytics.daily_sentiment AS
SELECT source,
       (coalesce(published_at, ingested_at) AT TIME ZONE 'UTC')::date AS day,
       count(*)                                                       AS records,
       count(*) FILTER (WHERE label = 'positive')                     AS positive,
       count(*) FILTER (WHERE label = 'neutral')                      AS neutral,
       count(*) FILTER (WHERE label = 'negative')                     AS negative,
       avg(polarity)                                                  AS mean_polarity,
       count(*) FILTER (WHERE provisional)                            AS provisional,
       count(*) FILTER (WHERE label IS NULL)                          AS unscored
FROM analytics.current_sentiment
GROUP BY source, day;
COMMENT ON VIEW analytics.daily_sentiment IS
    'One row a source and day (UTC, of publication, else of arrival).';

CREATE VIEW analytics.run_history AS
SELECT run.id, source.name AS source, run.trigger, run.state, run.started_at, run.finished_at,
       run.finished_at - run.started_at AS duration, run.error,
       run.read, run.new, run.changed, run.unchanged, run.duplicate, run.quarantined,
       run.skipped, run.scored, run.provisional, run.undecided, run.superseded, run.dead,
       run.invocations, run.texts_sent, run.throttled, run.failed, run.fenced
FROM sentiment.run JOIN sentiment.source ON source.id = run.source_id;
COMMENT ON VIEW analytics.run_history IS
    'One row a run. read = new + changed + unchanged + duplicate + quarantined, always.';

CREATE VIEW analytics.pending_work AS
SELECT source.name                                        AS source,
       count(chunk.id)                                    AS chunks,
       coalesce(sum(cardinality(chunk.record_ids)), 0)    AS records,
       coalesce(sum(cardinality(chunk.record_ids)) FILTER (WHERE chunk.provisional), 0)
                                                          AS provisional_records,
       count(chunk.id) FILTER (WHERE chunk.leased_by IS NOT NULL AND chunk.visible_at > now())
                                                          AS leased_chunks,
       min(chunk.created_at)                              AS oldest
FROM sentiment.source
LEFT JOIN sentiment.chunk ON chunk.source_id = source.id AND chunk.state = 'open'
GROUP BY source.id;
COMMENT ON VIEW analytics.pending_work IS
    'What still waits for the model, by source; provisional records have a TextBlob score meanwhile.';
