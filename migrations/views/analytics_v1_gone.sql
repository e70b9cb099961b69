-- Version 1, records that their source has no more: absent from current_sentiment, records and the
-- roll-ups; the views of a record's history keep them.

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
       coalesce(record.language, score.language)         AS language,
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
       person.made_at                                    AS overridden_at,
       person.label IS NOT NULL
           OR analytics.reads(scorer.languages, record.language, score.language)
                                                         AS language_supported
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
) person ON person.label IS NOT NULL
WHERE record.gone_at IS NULL;

CREATE OR REPLACE VIEW analytics.records AS
SELECT record.id                                         AS record_id,
       record.source_id,
       coalesce(record.published_at, record.ingested_at) AS moment,
       record.external_id,
       record.text,
       record.language,
       record.tags
FROM sentiment.record
WHERE record.gone_at IS NULL;

CREATE VIEW analytics.gone AS
SELECT record.id       AS record_id,
       source.name     AS source,
       record.external_id,
       record.gone_at
FROM sentiment.record
JOIN sentiment.source ON source.id = record.source_id
WHERE record.gone_at IS NOT NULL;
COMMENT ON VIEW analytics.gone IS
    'One row a record that its source has no more: absent from current_sentiment, records and the roll-ups; the views of its history keep it.';
COMMENT ON COLUMN analytics.gone.record_id IS 'This database''s own id of the record.';
COMMENT ON COLUMN analytics.gone.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.gone.external_id IS 'The record''s id at the source.';
COMMENT ON COLUMN analytics.gone.gone_at IS 'When that was noticed.';
