"""The most negative and most positive records of each day, kept with the roll-ups.

Revision: 0012, after 0011
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views"

# A block that was counted before this migration, or by a worker of the version before, has no
# extremes. The index finds such blocks; the next fold counts them anew (store/analytics/rollup.py).
UPGRADE = """
ALTER TABLE sentiment.tally
    ADD COLUMN lowest float8, ADD COLUMN highest float8,
    ADD COLUMN lowest_ids bigint[], ADD COLUMN highest_ids bigint[];
CREATE INDEX tally_by_day ON sentiment.tally (source_id, tag, value, day);
CREATE INDEX tally_incomplete ON sentiment.tally (block) WHERE lowest IS NULL AND scored > 0;
"""

DOWNGRADE = """
DROP VIEW analytics.extremes;
ALTER TABLE sentiment.tally
    DROP COLUMN lowest, DROP COLUMN highest, DROP COLUMN lowest_ids, DROP COLUMN highest_ids;
DROP INDEX sentiment.tally_by_day;
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    op.get_bind().exec_driver_sql(
        (VIEWS / "analytics_v1_extremes.sql").read_text(encoding="utf-8").replace("%", "%%")
    )


def downgrade() -> None:
    op.execute(DOWNGRADE)
