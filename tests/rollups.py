"""What `sentiment.daily` should say, counted anew from what analysts see; where it does not."""

from __future__ import annotations

WRONG_DAYS = """
WITH seen AS (
    SELECT source_id, (moment AT TIME ZONE 'UTC')::date AS day, tags, provisional,
           CASE WHEN language_supported THEN label END AS label,
           CASE WHEN language_supported THEN polarity END AS polarity,
           label IS NOT NULL AND NOT language_supported AS unsupported,
           overridden_at IS NOT NULL AS overridden,
           (SELECT count(*) > 1 FROM sentiment.score s
            JOIN sentiment.record r ON r.id = s.record_id AND r.content_hash = s.content_hash
            WHERE s.record_id = c.record_id AND NOT s.provisional) AS rescored
    FROM analytics.current_sentiment c
), every AS (
    SELECT '' AS tag, '' AS value, seen.* FROM seen
    UNION ALL
    SELECT left(t.key, 200), left(t.value, 200), seen.* FROM seen CROSS JOIN jsonb_each_text(tags) t
), wanted AS (
    SELECT source_id, day, tag, value, count(*) AS records, count(label) AS scored,
           count(*) FILTER (WHERE label = 'positive') AS positive,
           count(*) FILTER (WHERE label = 'neutral') AS neutral,
           count(*) FILTER (WHERE label = 'negative') AS negative,
           count(*) FILTER (WHERE provisional) AS provisional,
           count(*) FILTER (WHERE rescored) AS rescored,
           count(*) FILTER (WHERE overridden) AS overridden,
           count(*) FILTER (WHERE unsupported) AS unsupported,
           coalesce(sum(round(polarity * 1e6)), 0)::bigint AS micropolarity
    FROM every GROUP BY source_id, day, tag, value
), found AS (
    SELECT source_id, day, tag, value, records, scored, positive, neutral, negative, provisional,
           rescored, overridden, unsupported, micropolarity
    FROM sentiment.daily
    WHERE (records, scored, positive, neutral, negative, provisional, rescored, overridden,
           unsupported, micropolarity) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
)
(SELECT 'wanted' AS which, * FROM (SELECT * FROM wanted EXCEPT SELECT * FROM found) a)
UNION ALL
(SELECT 'found', * FROM (SELECT * FROM found EXCEPT SELECT * FROM wanted) b)
"""
