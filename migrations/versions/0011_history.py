"""A record's history for analysts: each score, each text before, and quarantine without raw bytes.

Revision: 0011, after 0010
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        (VIEWS / "analytics_v1_history.sql").read_text(encoding="utf-8").replace("%", "%%")
    )


def downgrade() -> None:
    op.execute(
        "DROP VIEW analytics.records, analytics.scores, analytics.revisions, analytics.quarantine"
    )
