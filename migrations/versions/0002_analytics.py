"""What analysts may rely on: the views of schema analytics, version 1.

Revision: 0002, after 0001
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views" / "analytics_v1.sql"


def upgrade() -> None:
    op.execute("CREATE SCHEMA analytics")
    op.execute(VIEWS.read_text(encoding="utf-8").replace(":", r"\:"))


def downgrade() -> None:
    op.execute("DROP SCHEMA analytics CASCADE")
