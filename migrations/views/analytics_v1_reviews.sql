-- Version 1, records that were drawn to be reviewed by people, and what those said.

CREATE VIEW analytics.review_items AS
SELECT item.review_id,
       item.number,
       source.name        AS source,
       review.drawn_at,
       review.drawn_by,
       review.since,
       review.until,
       item.part,
       item.probability,
       item.record_id,
       record.external_id,
       record.text,
       item.language,
       item.model,
       item.label         AS machine_label,
       item.score         AS machine_score,
       item.said          AS person_label,
       item.said_by       AS reviewed_by,
       item.said_at       AS reviewed_at,
       item.skipped_why,
       record.content_hash <> item.content_hash AS rewritten,
       review.source_id
FROM sentiment.review_item item
JOIN sentiment.review ON review.id = item.review_id
JOIN sentiment.record ON record.id = item.record_id
JOIN sentiment.source ON source.id = review.source_id;
COMMENT ON VIEW analytics.review_items IS
    'One row a record that was drawn for people to review, with what the machine said of it then and what a person says.';
COMMENT ON COLUMN analytics.review_items.review_id IS 'Which draw.';
COMMENT ON COLUMN analytics.review_items.number IS 'Its place in the draw, from 1.';
COMMENT ON COLUMN analytics.review_items.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.review_items.drawn_at IS 'When.';
COMMENT ON COLUMN analytics.review_items.drawn_by IS 'By whom.';
COMMENT ON COLUMN analytics.review_items.since IS 'Only records from this time on; null: of any time.';
COMMENT ON COLUMN analytics.review_items.until IS 'Only records before this time.';
COMMENT ON COLUMN analytics.review_items.part IS
    'random: for estimates; unsure: where the machine was least sure; varied: of every label, language and length.';
COMMENT ON COLUMN analytics.review_items.probability IS
    'With which it was drawn, of the random part; null: it was chosen, and no estimate may use it.';
COMMENT ON COLUMN analytics.review_items.record_id IS 'As in current_sentiment.';
COMMENT ON COLUMN analytics.review_items.external_id IS 'The record''s id at the source.';
COMMENT ON COLUMN analytics.review_items.text IS 'The text, as the source has it now.';
COMMENT ON COLUMN analytics.review_items.language IS 'As known when it was drawn.';
COMMENT ON COLUMN analytics.review_items.model IS 'Name and version of the model that had scored it.';
COMMENT ON COLUMN analytics.review_items.machine_label IS
    'What the machine said; a model''s own labels by their polarity, as in daily_sentiment.';
COMMENT ON COLUMN analytics.review_items.machine_score IS 'How sure it was, from 0 to 1.';
COMMENT ON COLUMN analytics.review_items.person_label IS 'What a person said in the review; null: nobody yet. A correction by other ways is not among them.';
COMMENT ON COLUMN analytics.review_items.reviewed_by IS 'Who said so, or passed it over.';
COMMENT ON COLUMN analytics.review_items.reviewed_at IS 'When.';
COMMENT ON COLUMN analytics.review_items.skipped_why IS 'Why it was passed over.';
COMMENT ON COLUMN analytics.review_items.rewritten IS
    'True: the source has another text by now; what was said is of the one that was drawn.';
COMMENT ON COLUMN analytics.review_items.source_id IS 'Of analytics.sources.';

CREATE VIEW analytics.reviews AS
SELECT review.id,
       source.name AS source,
       review.drawn_at,
       review.drawn_by,
       review.since,
       review.until,
       review.negative,
       review.neutral,
       review.positive,
       review.source_id
FROM sentiment.review
JOIN sentiment.source ON source.id = review.source_id;
COMMENT ON VIEW analytics.reviews IS
    'One row a draw of records for people to review, with what there was to draw from.';
COMMENT ON COLUMN analytics.reviews.id IS 'The draw.';
COMMENT ON COLUMN analytics.reviews.source IS 'The source''s name.';
COMMENT ON COLUMN analytics.reviews.drawn_at IS 'When.';
COMMENT ON COLUMN analytics.reviews.drawn_by IS 'By whom.';
COMMENT ON COLUMN analytics.reviews.since IS 'Only records from this time on; null: of any time.';
COMMENT ON COLUMN analytics.reviews.until IS 'Only records before this time.';
COMMENT ON COLUMN analytics.reviews.negative IS 'Records that the machine called negative then.';
COMMENT ON COLUMN analytics.reviews.neutral IS 'Records that the machine called neutral then.';
COMMENT ON COLUMN analytics.reviews.positive IS 'Records that the machine called positive then.';
COMMENT ON COLUMN analytics.reviews.source_id IS 'Of analytics.sources.';
