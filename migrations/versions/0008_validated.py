"""The checks of 0007 hold for older rows too. A transaction of its own: it reads whole tables, and
lets others write meanwhile.

Revision: 0008, after 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sentiment.chunk VALIDATE CONSTRAINT chunk_state_check")
    op.execute("ALTER TABLE sentiment.run VALIDATE CONSTRAINT run_trigger_check")
    op.execute("ALTER TABLE sentiment.run VALIDATE CONSTRAINT run_state_check")


def downgrade() -> None:
    """Nothing: 0007 takes the constraints away."""
