"""What operators plan, pay for and stop: lanes, backfills, spending, cursors' history, pauses.

A chunk and a run belong to a lane: 0 is the schedule's own, else the id of a backfill.

Revision: 0007, after 0006
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views" / "analytics_v1_operators.sql"

UPGRADE = """
ALTER TABLE sentiment.chunk
    ADD COLUMN lane bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT chunk_state_check,
    ADD CONSTRAINT chunk_state_check
        CHECK (state IN ('open', 'done', 'split', 'dead', 'cancelled')) NOT VALID;
COMMENT ON COLUMN sentiment.chunk.lane IS
    'Whose work it is: 0 the schedule''s, else a backfill''s.';
ALTER TABLE sentiment.run
    ADD COLUMN lane bigint NOT NULL DEFAULT 0,
    ADD COLUMN billed_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN billed_mb_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN due_at timestamptz,
    ADD COLUMN warnings text[],
    DROP CONSTRAINT run_trigger_check,
    ADD CONSTRAINT run_trigger_check
        CHECK (trigger IN ('once', 'schedule', 'drain', 'redrive', 'retry', 'backfill')) NOT VALID,
    DROP CONSTRAINT run_state_check,
    ADD CONSTRAINT run_state_check CHECK (state IN ('running', 'done', 'quarantined', 'degraded',
        'failed', 'stopped', 'lost', 'paused', 'over_budget', 'missed', 'partial')) NOT VALID;
COMMENT ON COLUMN sentiment.run.due_at IS 'When the schedule wanted it.';
COMMENT ON COLUMN sentiment.run.warnings IS 'What was unlike the last weeks.';
COMMENT ON COLUMN sentiment.run.lane IS 'Whose work it did: 0 the schedule''s, else a backfill''s.';
COMMENT ON COLUMN sentiment.run.billed_mb_ms IS
    'Megabytes times milliseconds, as Lambda''s report lines bill them; / 1,024,000 is GB-seconds.';

CREATE TABLE sentiment.spend (
    day           date NOT NULL,
    source_id     integer NOT NULL REFERENCES sentiment.source,
    scorer_id     integer NOT NULL,
    invocations   bigint NOT NULL DEFAULT 0,
    texts         bigint NOT NULL DEFAULT 0,
    records       bigint NOT NULL DEFAULT 0,
    billed_ms     bigint NOT NULL DEFAULT 0,
    billed_mb_ms  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, source_id, scorer_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE sentiment.spend IS
    'What calls cost, by day (UTC), source and model; scorer 0 are calls without a usable answer.';

CREATE TABLE sentiment.backfill (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   integer NOT NULL REFERENCES sentiment.source,
    state       text NOT NULL DEFAULT 'planned'
                    CHECK (state IN ('planned', 'running', 'paused', 'cancelled', 'done')),
    reason      text,
    selection   jsonb NOT NULL,
    plan        jsonb NOT NULL,
    max_cost    double precision CHECK (max_cost > 0),
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_by  text NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN sentiment.backfill.selection IS 'What was asked for.';
COMMENT ON COLUMN sentiment.backfill.plan IS 'What that was on the day: counts and their cost.';

CREATE TABLE sentiment.backfill_window (
    backfill_id     bigint NOT NULL REFERENCES sentiment.backfill,
    number          integer NOT NULL,
    opened_at       timestamptz,
    record_ids      bigint[] NOT NULL,
    content_hashes  bytea NOT NULL,
    PRIMARY KEY (backfill_id, number),
    CHECK (octet_length(content_hashes) = 16 * cardinality(record_ids))
);
COMMENT ON TABLE sentiment.backfill_window IS
    'The exact records of a plan. A window whose chunks are made is a checkpoint.';

CREATE TABLE sentiment.cursor_change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id   integer NOT NULL REFERENCES sentiment.source,
    partition   text NOT NULL,
    before      jsonb,
    after       jsonb,
    run_id      bigint,
    changed_by  text NOT NULL,
    why         text NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (run_id, source_id, partition)
);
COMMENT ON TABLE sentiment.cursor_change IS
    'A row a run and partition that it moved, and one for each change by a person.';
CREATE INDEX cursor_change_by_source ON sentiment.cursor_change (source_id, id DESC);

CREATE TABLE sentiment.pause (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id  integer NOT NULL REFERENCES sentiment.source,
    reason     text NOT NULL,
    paused_by  text NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    until      timestamptz NOT NULL,
    ended_by   text
);
CREATE INDEX pause_by_source ON sentiment.pause (source_id, until DESC);
"""

DOWNGRADE = """
DROP VIEW analytics.backfills;
DROP VIEW analytics.run_history, analytics.pending_work;
DROP TABLE sentiment.pause, sentiment.cursor_change, sentiment.backfill_window,
    sentiment.backfill, sentiment.spend;
UPDATE sentiment.chunk SET state = 'dead' WHERE state = 'cancelled' OR state = 'open' AND lane > 0;
UPDATE sentiment.run SET trigger = 'once' WHERE trigger IN ('retry', 'backfill');
UPDATE sentiment.run SET state = 'stopped' WHERE state IN ('paused', 'over_budget', 'missed');
UPDATE sentiment.run SET state = 'failed' WHERE state = 'partial';
ALTER TABLE sentiment.chunk DROP COLUMN lane,
    DROP CONSTRAINT chunk_state_check,
    ADD CONSTRAINT chunk_state_check CHECK (state IN ('open', 'done', 'split', 'dead')) NOT VALID;
ALTER TABLE sentiment.run DROP COLUMN lane, DROP COLUMN billed_ms, DROP COLUMN billed_mb_ms,
    DROP COLUMN due_at, DROP COLUMN warnings,
    DROP CONSTRAINT run_trigger_check,
    ADD CONSTRAINT run_trigger_check
        CHECK (trigger IN ('once', 'schedule', 'drain', 'redrive')) NOT VALID,
    DROP CONSTRAINT run_state_check,
    ADD CONSTRAINT run_state_check CHECK (state IN ('running', 'done', 'quarantined', 'degraded',
        'failed', 'stopped', 'lost')) NOT VALID;
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    op.execute(VIEWS.read_text(encoding="utf-8").replace(":", r"\:"))


def downgrade() -> None:
    op.execute(DOWNGRADE)
    views = (VIEWS.parent / "analytics_v1.sql").read_text(encoding="utf-8")
    _, begins, rest = views.partition("CREATE VIEW analytics.run_history")  # and pending_work
    op.execute((begins + rest).replace(":", r"\:"))
