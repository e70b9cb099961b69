"""A kept transcript knows the call that brought it, and whether its recording was whole.

Revision: 0021, after 0020
"""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# Workers of 0020 keep transcripts without these columns.
oldest_worker = "0014"

UPGRADE = """
ALTER TABLE sentiment.transcript
    ADD COLUMN call_id uuid,
    ADD COLUMN is_broken_off boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN sentiment.transcript.call_id IS
    'The call that brought it: another one for the same window is counted beside it.';
COMMENT ON COLUMN sentiment.transcript.is_broken_off IS
    'The recording ends before it should: something of it is missing.';
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute("ALTER TABLE sentiment.transcript DROP COLUMN call_id, DROP COLUMN is_broken_off")
