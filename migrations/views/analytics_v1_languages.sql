-- Version 1, in which language a record is, and whether its scorer reads that. Columns are added at
-- the end of a view; what stood before keeps its name and type.

CREATE FUNCTION analytics.reads(languages text[], said text, detected text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT coalesce(
    coalesce(CASE WHEN lower(trim(said)) ~ '^[a-z]{2}([-_][a-z0-9_-]+)?$'
                  THEN left(lower(trim(said)), 2) END, detected) = ANY (languages), true) $$;
COMMENT ON FUNCTION analytics.reads(text[], text, text) IS
    'Does a scorer of these languages read a text? Its source''s word counts where it is a code like en or pt-BR, else what was detected. True where neither is known.';

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
) person ON person.label IS NOT NULL;
COMMENT ON COLUMN analytics.current_sentiment.language IS
    'As the source says, else as it was detected when the text was scored; null: not known.';
COMMENT ON COLUMN analytics.current_sentiment.language_supported IS
    'False where the scorer was not made for the language: the label is a guess, and no count by day holds it. A person''s word always counts.';

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
       daily.source_id,
       daily.unsupported
FROM sentiment.daily
JOIN sentiment.source ON source.id = daily.source_id
WHERE daily.tag = '' AND daily.records > 0;
COMMENT ON COLUMN analytics.daily_sentiment.unscored IS
    'Records without a label that counts: without any, or in a language that their scorer does not read.';
COMMENT ON COLUMN analytics.daily_sentiment.unsupported IS
    'Of unscored, those in a language that their scorer does not read.';

CREATE OR REPLACE VIEW analytics.daily_by_tag AS
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
       daily.source_id,
       daily.unsupported
FROM sentiment.daily
JOIN sentiment.source ON source.id = daily.source_id
WHERE daily.tag <> '' AND daily.records > 0;
COMMENT ON COLUMN analytics.daily_by_tag.unsupported IS 'As in daily_sentiment.';

CREATE OR REPLACE VIEW analytics.scores AS
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
       record.source_id,
       score.language,
       scorer.languages
FROM sentiment.score
JOIN sentiment.scorer ON scorer.id = score.scorer_id
JOIN sentiment.record ON record.id = score.record_id
JOIN sentiment.source ON source.id = record.source_id;
COMMENT ON COLUMN analytics.scores.language IS 'As it was detected; null: not, or unsure.';
COMMENT ON COLUMN analytics.scores.languages IS
    'Languages that the scorer reads, by their codes; null: not known.';
