"""A refused row remembers the pass over its file or table that met it, so that a later pass, even
one that several runs took, can tell what was repaired.

Revision: 0006, after 0005
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sentiment.quarantine ADD COLUMN reading text NOT NULL DEFAULT ''")
    op.execute(
        "COMMENT ON COLUMN sentiment.quarantine.reading IS "
        "'The pass over the partition that refused it last.'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE sentiment.quarantine DROP COLUMN reading")
