"""Redriving quarantine: runs of that kind, and finding a record's rows.

Tables in the order in which the worker locks them, so that neither waits for the other.

Revision: 0004, after 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE INDEX quarantine_record ON sentiment.quarantine (record_id);
ALTER TABLE sentiment.run DROP CONSTRAINT run_trigger_check;
ALTER TABLE sentiment.run ADD CONSTRAINT run_trigger_check
    CHECK (trigger IN ('once', 'schedule', 'drain', 'redrive'));
"""

DOWNGRADE = """
DROP INDEX sentiment.quarantine_record;
ALTER TABLE sentiment.run DROP CONSTRAINT run_trigger_check;
ALTER TABLE sentiment.run ADD CONSTRAINT run_trigger_check
    CHECK (trigger IN ('once', 'schedule', 'drain')) NOT VALID;  -- runs of the other kind stay
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
