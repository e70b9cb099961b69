"""What makes a record of a partition the one that it is: kept with the cursor, also when that is
rewound.

Revision: 0013, after 0012
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sentiment.cursor ADD COLUMN identity jsonb")
    op.execute(
        "COMMENT ON COLUMN sentiment.cursor.identity IS "
        "'The rule of its records'' ids, and the column of their texts; null: read before 0013.'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE sentiment.cursor DROP COLUMN identity")
