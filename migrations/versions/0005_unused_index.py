"""An index that served no query goes; each insert paid for it.

Revision: 0005, after 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX sentiment.record_by_time")


def downgrade() -> None:
    op.execute("CREATE INDEX record_by_time ON sentiment.record (source_id, published_at DESC)")
