-- Version 1, where the most negative and the most positive records are.

CREATE VIEW analytics.extremes AS
SELECT tally.source_id,
       tally.day,
       tally.tag,
       tally.value,
       tally.lowest,
       tally.lowest_ids,
       tally.highest,
       tally.highest_ids
FROM sentiment.tally
WHERE tally.lowest IS NOT NULL;
COMMENT ON VIEW analytics.extremes IS
    'The most negative and most positive records of each day, as of the last run. A day may have several rows. The n rows with the lowest value of lowest hold the n most negative records of any period, for n up to 20.';
COMMENT ON COLUMN analytics.extremes.source_id IS 'Of analytics.sources.';
COMMENT ON COLUMN analytics.extremes.day IS 'UTC, of publication, else of arrival.';
COMMENT ON COLUMN analytics.extremes.tag IS 'The tag''s name; empty for all records together.';
COMMENT ON COLUMN analytics.extremes.value IS 'The tag''s value, cut after 200 characters.';
COMMENT ON COLUMN analytics.extremes.lowest IS 'The lowest polarity of the row''s records.';
COMMENT ON COLUMN analytics.extremes.lowest_ids IS
    'record_id of the 20 most negative of them, the most negative first.';
COMMENT ON COLUMN analytics.extremes.highest IS 'The highest polarity of the row''s records.';
COMMENT ON COLUMN analytics.extremes.highest_ids IS
    'record_id of the 20 most positive of them, the most positive first.';
