-- Version 1, what each person says in a review, and the three things that a reviewer may do.

CREATE VIEW analytics.review_judgements AS
SELECT judgement.review_id,
       judgement.number,
       judgement.person,
       judgement.label,
       judgement.skipped_why,
       judgement.said_at,
       review.source_id
FROM sentiment.review_judgement judgement
JOIN sentiment.review ON review.id = judgement.review_id;
COMMENT ON VIEW analytics.review_judgements IS
    'One row a person and record of a review: what they say of it.';
COMMENT ON COLUMN analytics.review_judgements.review_id IS 'Which draw.';
COMMENT ON COLUMN analytics.review_judgements.number IS 'The record''s place in the draw.';
COMMENT ON COLUMN analytics.review_judgements.person IS 'Who.';
COMMENT ON COLUMN analytics.review_judgements.label IS 'What they say; null: they passed it over.';
COMMENT ON COLUMN analytics.review_judgements.skipped_why IS 'Why they passed it over.';
COMMENT ON COLUMN analytics.review_judgements.said_at IS 'When.';
COMMENT ON COLUMN analytics.review_judgements.source_id IS 'Of analytics.sources.';

CREATE OR REPLACE VIEW analytics.reviews AS
SELECT review.id,
       source.name AS source,
       review.drawn_at,
       review.drawn_by,
       review.since,
       review.until,
       review.negative,
       review.neutral,
       review.positive,
       review.source_id,
       review.people
FROM sentiment.review
JOIN sentiment.source ON source.id = review.source_id;
COMMENT ON COLUMN analytics.reviews.people IS 'How many people are to judge each record.';

-- Of what people say of a record: the label of more than half of them, once so many as were wanted
-- have judged it; passed over by one, it is passed over. A label that comes or goes is an override.
CREATE FUNCTION sentiment.review_settle(of_review bigint, of_number integer, by_person text)
RETURNS void LANGUAGE sql AS $$
    WITH said AS (
        SELECT count(j.label) AS judged,
               mode() WITHIN GROUP (ORDER BY j.label) AS most,
               string_agg(j.person, ', ' ORDER BY j.said_at, j.person)
                   FILTER (WHERE j.label IS NOT NULL) AS people,
               string_agg(j.person, ', ' ORDER BY j.said_at, j.person)
                   FILTER (WHERE j.label IS NULL) AS skippers,
               max(j.said_at) AS last,
               min(j.skipped_why) AS skipped
        FROM sentiment.review_judgement j
        WHERE j.review_id = of_review AND j.number = of_number
    ), outcome AS (
        SELECT CASE WHEN said.skipped IS NULL AND said.judged >= r.people AND 2 * (
                   SELECT count(*) FROM sentiment.review_judgement j
                   WHERE j.review_id = of_review AND j.number = of_number AND j.label = said.most
               ) > said.judged THEN said.most END AS label, said.*
        FROM said, sentiment.review r WHERE r.id = of_review
    ), before AS (
        SELECT i.record_id, i.content_hash, i.said FROM sentiment.review_item i
        WHERE i.review_id = of_review AND i.number = of_number
    ), settled AS (
        UPDATE sentiment.review_item i
        SET said = o.label, skipped_why = o.skipped,
            said_by = CASE WHEN o.label IS NOT NULL THEN o.people
                           WHEN o.skipped IS NOT NULL THEN o.skippers END,
            said_at = CASE WHEN o.label IS NOT NULL OR o.skipped IS NOT NULL THEN o.last END
        FROM outcome o WHERE i.review_id = of_review AND i.number = of_number
    )
    INSERT INTO sentiment.override (record_id, content_hash, label, polarity, made_by, why)
    SELECT b.record_id, b.content_hash, o.label,
           CASE o.label WHEN 'positive' THEN 1 WHEN 'neutral' THEN 0 WHEN 'negative' THEN -1 END,
           CASE WHEN o.label IS NULL THEN by_person ELSE o.people END,
           CASE WHEN o.label IS NULL THEN 'review undone' ELSE 'review' END
    FROM before b, outcome o
    -- What somebody said of the record by another way since stays.
    WHERE o.label IS DISTINCT FROM b.said AND (o.label IS NOT NULL OR (
        SELECT why FROM sentiment.override v
        WHERE v.record_id = b.record_id AND v.content_hash = b.content_hash
        ORDER BY v.id DESC LIMIT 1) = 'review')
$$;

-- Run with the rights of whoever migrated: a reviewer has none on the tables.
CREATE FUNCTION analytics.review_say(
    of_review bigint, of_number integer, says text, by_person text, settled_too boolean,
    OUT done boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM sentiment.review_item i
    JOIN sentiment.record r ON r.id = i.record_id AND r.content_hash = i.content_hash
    WHERE i.review_id = of_review AND i.number = of_number AND i.skipped_why IS NULL
      AND (settled_too OR i.said IS NULL)
    FOR UPDATE OF i;
    done := FOUND;
    IF NOT done THEN RETURN; END IF;
    INSERT INTO sentiment.review_judgement (review_id, number, person, label)
    VALUES (of_review, of_number, by_person, says) ON CONFLICT DO NOTHING;
    done := FOUND;
    IF done THEN PERFORM sentiment.review_settle(of_review, of_number, by_person); END IF;
END $$;
COMMENT ON FUNCTION analytics.review_say IS
    'A person''s label of a drawn record. False: it was rewritten, passed over or (unless settled_too) judged by enough people, or they have judged it.';

CREATE FUNCTION analytics.review_skip(
    of_review bigint, of_number integer, because text, by_person text, OUT done boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM sentiment.review_item i
    WHERE i.review_id = of_review AND i.number = of_number
      AND i.said IS NULL AND i.skipped_why IS NULL AND NOT EXISTS (
          SELECT FROM sentiment.review_judgement j
          WHERE j.review_id = i.review_id AND j.number = i.number)
    FOR UPDATE OF i;
    done := FOUND;
    IF NOT done THEN RETURN; END IF;
    INSERT INTO sentiment.review_judgement (review_id, number, person, skipped_why)
    VALUES (of_review, of_number, by_person, because) ON CONFLICT DO NOTHING;
    done := FOUND;
    IF done THEN PERFORM sentiment.review_settle(of_review, of_number, by_person); END IF;
END $$;
COMMENT ON FUNCTION analytics.review_skip IS
    'Passes a drawn record over. False: somebody has judged it, or passed it over.';

CREATE FUNCTION analytics.review_undo(
    of_review bigint, of_number integer, by_person text, OUT done boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM sentiment.review_item i
    WHERE i.review_id = of_review AND i.number = of_number FOR UPDATE OF i;
    DELETE FROM sentiment.review_judgement j
    WHERE j.review_id = of_review AND j.number = of_number AND j.person = by_person;
    done := FOUND;
    IF done THEN PERFORM sentiment.review_settle(of_review, of_number, by_person); END IF;
END $$;
COMMENT ON FUNCTION analytics.review_undo IS
    'Takes back what this person said of a drawn record. False: they said nothing.';

REVOKE EXECUTE ON FUNCTION sentiment.review_settle, analytics.review_say, analytics.review_skip,
    analytics.review_undo FROM PUBLIC;
