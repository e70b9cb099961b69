"""Records that their source has no more: kept, and out of every view and count.

Revision: 0018, after 0017
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views"

# Workers of 0017 count records that are gone. A block that one of them has counted says nothing of
# them: the next fold counts it anew (store/analytics/rollup.py). They know no `deleted` and no
# `deletes` in a source's configuration, and refuse one that has them.
oldest_worker = "0014"

UPGRADE = """
ALTER TABLE sentiment.record ADD COLUMN gone_at timestamptz;
COMMENT ON COLUMN sentiment.record.gone_at IS
    'When it was noticed that its source has it no more; null: it has.';
ALTER TABLE sentiment.tally ADD COLUMN without_gone boolean DEFAULT true;
ALTER TABLE sentiment.tally ALTER COLUMN without_gone DROP DEFAULT;
COMMENT ON COLUMN sentiment.tally.without_gone IS
    'Records that are gone are not counted; null: counted by a worker of 0017.';
CREATE INDEX tally_with_gone ON sentiment.tally (block) WHERE without_gone IS NULL;
ALTER TABLE sentiment.run
    DROP CONSTRAINT run_trigger_check,
    ADD CONSTRAINT run_trigger_check CHECK (trigger IN
        ('once', 'schedule', 'drain', 'redrive', 'retry', 'backfill', 'scan')) NOT VALID;
"""

DOWNGRADE = """
DROP VIEW analytics.gone;
-- What was left out of the days is counted again.
INSERT INTO sentiment.touched
SELECT DISTINCT id >> 13 FROM sentiment.record WHERE gone_at IS NOT NULL;
ALTER TABLE sentiment.record DROP COLUMN gone_at;
ALTER TABLE sentiment.tally DROP COLUMN without_gone;
UPDATE sentiment.run SET trigger = 'once' WHERE trigger = 'scan';
ALTER TABLE sentiment.run
    DROP CONSTRAINT run_trigger_check,
    ADD CONSTRAINT run_trigger_check CHECK (trigger IN
        ('once', 'schedule', 'drain', 'redrive', 'retry', 'backfill')) NOT VALID;
"""

_BEFORE = {
    "analytics_v1_languages.sql": "VIEW analytics.current_sentiment",
    "analytics_v1_history.sql": "VIEW analytics.records",
}


def upgrade() -> None:
    op.execute(UPGRADE)
    op.execute(_views("analytics_v1_gone.sql"))


def downgrade() -> None:
    for file, view in _BEFORE.items():
        (made,) = [s for s in _views(file).split(";\n") if f"{view} AS" in s]
        body = made[made.index(view) :]
        op.execute(f"CREATE OR REPLACE {body}")
    op.execute(DOWNGRADE)


def _views(name: str) -> str:
    return (VIEWS / name).read_text(encoding="utf-8").replace(":", r"\:")
