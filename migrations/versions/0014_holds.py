"""Who holds a lane, by the database's clock; where a run's concurrency ended; calls without a
report line; what keeps rows from being read; the oldest worker that this schema tolerates.

Revision: 0014, after 0013
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views"

# Workers of 0013 hold lanes by a session's lock alone, which workers of 0014 take as well.
oldest_worker = "0013"

UPGRADE = """
CREATE TABLE sentiment.hold (
    source_id integer NOT NULL REFERENCES sentiment.source (id) ON DELETE CASCADE,
    lane bigint NOT NULL DEFAULT 0,
    holder text NOT NULL,
    by_session boolean NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (source_id, lane)
);
COMMENT ON TABLE sentiment.hold IS
    'Who may run a lane, and until when: extended with the run''s heartbeat.';
COMMENT ON COLUMN sentiment.hold.by_session IS
    'The holder has the lane''s advisory lock too: if nobody has it any more, the holder is dead.';

ALTER TABLE sentiment.run ADD COLUMN concurrency smallint;
COMMENT ON COLUMN sentiment.run.concurrency IS
    'How many calls at once were allowed at its end; the next run begins there.';
ALTER TABLE sentiment.run ADD COLUMN waiting_s float8;
COMMENT ON COLUMN sentiment.run.waiting_s IS
    'How long a transaction had been open behind which committed rows waited.';
ALTER TABLE sentiment.run ADD COLUMN found_nothing boolean;
COMMENT ON COLUMN sentiment.run.found_nothing IS
    'There was no file where the source should be.';
ALTER TABLE sentiment.run ADD COLUMN unreported bigint NOT NULL DEFAULT 0;
ALTER TABLE sentiment.spend ADD COLUMN unreported bigint NOT NULL DEFAULT 0;

CREATE TABLE sentiment.tolerated (oldest_worker text NOT NULL);
COMMENT ON TABLE sentiment.tolerated IS
    'The oldest migration whose workers may go on working on this schema: one row.';
"""

DOWNGRADE = """
DROP VIEW analytics.schema_version, analytics.run_history;
CREATE VIEW analytics.schema_version AS
SELECT version_num AS revision FROM sentiment.alembic_version;
COMMENT ON VIEW analytics.schema_version IS 'Which migration the database is at: one row.';
COMMENT ON COLUMN analytics.schema_version.revision IS 'The migration''s number.';
DROP TABLE sentiment.tolerated;
ALTER TABLE sentiment.spend DROP COLUMN unreported;
ALTER TABLE sentiment.run DROP COLUMN unreported, DROP COLUMN concurrency,
    DROP COLUMN waiting_s, DROP COLUMN found_nothing;
DROP TABLE sentiment.hold;
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    op.execute(_views("analytics_v1_unreported.sql"))


def downgrade() -> None:
    op.execute(DOWNGRADE)
    before, _, _ = _views("analytics_v1_operators.sql").partition("-- The schedule's work")
    op.execute(before)
    for statement in _views("analytics_v1_analysts.sql").split(";\n"):
        if "COMMENT ON COLUMN analytics.run_history" in statement:
            op.execute(statement)


def _views(name: str) -> str:
    return (VIEWS / name).read_text(encoding="utf-8").replace(":", r"\:")
