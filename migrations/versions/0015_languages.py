"""In which language a text is, and whether its scorer reads that: kept with scores and scorers,
counted by day.

Revision: 0015, after 0014
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views"

# Workers of 0014 write scores without a language. A block that one of them has counted has no
# number of unsupported records: the next fold counts it anew (store/analytics/rollup.py).
oldest_worker = "0014"

UPGRADE = """
ALTER TABLE sentiment.scorer ADD COLUMN languages text[];
COMMENT ON COLUMN sentiment.scorer.languages IS
    'Codes of the languages that it reads, as it said when it scored first; null: not known.';
ALTER TABLE sentiment.score ADD COLUMN language text;
COMMENT ON COLUMN sentiment.score.language IS
    'As the function detected it; null: not, or unsure.';
ALTER TABLE sentiment.tally ADD COLUMN unsupported bigint DEFAULT 0;
ALTER TABLE sentiment.tally ALTER COLUMN unsupported DROP DEFAULT;
COMMENT ON COLUMN sentiment.tally.unsupported IS
    'Records whose label does not count, for their language; null: counted by a worker of 0014.';
ALTER TABLE sentiment.daily ADD COLUMN unsupported bigint NOT NULL DEFAULT 0;
CREATE INDEX tally_without_languages ON sentiment.tally (block) WHERE unsupported IS NULL;

-- By triggers, so that it also holds when a worker of 0014 counts a block anew.
CREATE FUNCTION sentiment.move_unsupported() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sentiment.daily d
    SET unsupported = d.unsupported + CASE tg_op WHEN 'INSERT' THEN moved.n ELSE -moved.n END
    FROM (
        SELECT source_id, tag, value, day, sum(unsupported) AS n FROM changed
        WHERE unsupported > 0 GROUP BY source_id, tag, value, day
    ) moved
    WHERE (d.source_id, d.tag, d.value, d.day)
        = (moved.source_id, moved.tag, moved.value, moved.day);
    RETURN NULL;
END $$;
-- Where a scorer tells its languages later than its first score, its days are counted anew.
CREATE TRIGGER touch_languages AFTER UPDATE OF languages ON sentiment.scorer
    FOR EACH ROW EXECUTE FUNCTION sentiment.touch_scored();
CREATE TRIGGER unsupported_came AFTER INSERT ON sentiment.tally
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION sentiment.move_unsupported();
CREATE TRIGGER unsupported_went AFTER DELETE ON sentiment.tally
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION sentiment.move_unsupported();
"""

DOWNGRADE = """
DROP VIEW analytics.current_sentiment, analytics.daily_sentiment, analytics.daily_by_tag,
    analytics.scores;
DROP FUNCTION analytics.reads(text[], text, text);
DROP TRIGGER touch_languages ON sentiment.scorer;
DROP FUNCTION sentiment.move_unsupported CASCADE;
ALTER TABLE sentiment.scorer DROP COLUMN languages;
ALTER TABLE sentiment.score DROP COLUMN language;
ALTER TABLE sentiment.tally DROP COLUMN unsupported;
ALTER TABLE sentiment.daily DROP COLUMN unsupported;
-- What was left out of the days is counted again.
INSERT INTO sentiment.touched SELECT DISTINCT block FROM sentiment.tally;
"""

_BEFORE = {
    "analytics_v1_analysts.sql": ("current_sentiment", "daily_sentiment", "daily_by_tag"),
    "analytics_v1_history.sql": ("scores",),
}


def upgrade() -> None:
    op.execute(UPGRADE)
    op.execute(_views("analytics_v1_languages.sql"))


def downgrade() -> None:
    op.execute(DOWNGRADE)
    for file, views in _BEFORE.items():
        for statement in _views(file).split(";\n"):
            if any(_is_about(statement, f"analytics.{view}") for view in views):
                op.execute(statement)


def _is_about(statement: str, view: str) -> bool:
    """Does a statement make a view, or comment on it?"""
    return any(
        f"{beginning} {view}{end}" in statement
        for beginning in ("VIEW", "COMMENT ON COLUMN")
        for end in (" ", ".", "\n")
    )


def _views(name: str) -> str:
    return (VIEWS / name).read_text(encoding="utf-8").replace(":", r"\:")
