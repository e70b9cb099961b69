"""The check of 0018 holds for older runs too. A transaction of its own: it reads the whole table,
and lets others write meanwhile.

Revision: 0019, after 0018
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

oldest_worker = "0014"


def upgrade() -> None:
    op.execute("ALTER TABLE sentiment.run VALIDATE CONSTRAINT run_trigger_check")


def downgrade() -> None:
    """Nothing: 0018 takes the constraint away."""
