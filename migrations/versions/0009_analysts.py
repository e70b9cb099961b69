"""For analysts: roll-ups by day, people's overrides, and the views over them.

`tally` remembers what each block of records added to `daily`, so that a block that changed is
counted anew and only the difference moves `daily` (docs/decisions/0008).

Revision: 0009, after 0008
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views"

_COUNTS = """
    records        bigint NOT NULL,
    scored         bigint NOT NULL,
    positive       bigint NOT NULL,
    neutral        bigint NOT NULL,
    negative       bigint NOT NULL,
    provisional    bigint NOT NULL,
    rescored       bigint NOT NULL,
    overridden     bigint NOT NULL,
    micropolarity  bigint NOT NULL
"""

_TRIGGERS = "".join(
    f"""
CREATE TRIGGER touch_{event.lower()} AFTER {event} ON sentiment.{table}
    REFERENCING {"OLD" if event == "DELETE" else "NEW"} TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION sentiment.touch();"""
    for table in ("record", "score", "override")
    for event in ("INSERT", "UPDATE", "DELETE")
)

UPGRADE = f"""
CREATE TABLE sentiment.override (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_id     bigint NOT NULL REFERENCES sentiment.record ON DELETE CASCADE,
    content_hash  bytea NOT NULL,
    label         text CHECK (label <> '' AND octet_length(label) <= 64),
    polarity      float8 CHECK (polarity BETWEEN -1 AND 1),
    made_by       text NOT NULL CHECK (made_by <> ''),
    why           text NOT NULL CHECK (why <> ''),
    made_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((label IS NULL) = (polarity IS NULL))
);
COMMENT ON TABLE sentiment.override IS
    'A person''s word on a text, beside the machine''s; the last one holds, null takes it back.';
CREATE INDEX override_by_record ON sentiment.override (record_id, content_hash, id DESC);

CREATE TABLE sentiment.touched (
    block  bigint NOT NULL
);
COMMENT ON TABLE sentiment.touched IS
    'Blocks of records that changed since daily was brought up to date. '
    'Rows are only ever added, and deleted by whoever counts the block anew.';

CREATE TABLE sentiment.tally (
    block          bigint NOT NULL,
    source_id      integer NOT NULL,
    day            date NOT NULL,
    tag            text NOT NULL,
    value          text NOT NULL,
    {_COUNTS}
);
COMMENT ON TABLE sentiment.tally IS 'What a block of records (id / 8192) adds to daily.';
CREATE INDEX tally_by_block ON sentiment.tally (block);

CREATE TABLE sentiment.daily (
    source_id      integer NOT NULL,
    day            date NOT NULL,
    tag            text NOT NULL,
    value          text NOT NULL,
    {_COUNTS},
    PRIMARY KEY (source_id, tag, value, day)
) WITH (fillfactor = 80);
COMMENT ON TABLE sentiment.daily IS 'By source and day; tag is empty for all records together.';
COMMENT ON COLUMN sentiment.daily.micropolarity IS
    'Sum of polarity in millionths: '
    'whole numbers do not drift as they are added to and taken from.';

-- By triggers, so that it holds for every writer: this worker, one of the version before that has
-- not been restarted yet, and the owner at a prompt.
CREATE FUNCTION sentiment.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_table_name = 'record' THEN
        INSERT INTO sentiment.touched SELECT DISTINCT id >> 13 FROM changed;
    ELSE
        INSERT INTO sentiment.touched SELECT DISTINCT record_id >> 13 FROM changed;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION sentiment.touch_scored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sentiment.touched
    SELECT DISTINCT record_id >> 13 FROM sentiment.score WHERE scorer_id = new.id;
    RETURN NULL;
END $$;
{_TRIGGERS}
CREATE TRIGGER touch_promoted AFTER UPDATE OF promoted_at ON sentiment.scorer
    FOR EACH ROW EXECUTE FUNCTION sentiment.touch_scored();

-- What is there already is counted by whoever upgrades, or else by the next run.
INSERT INTO sentiment.touched
SELECT generate_series(0, coalesce((SELECT max(id) FROM sentiment.record) >> 13, -1));
"""  # noqa: S608  only the names of columns go in

DOWNGRADE = """
DROP VIEW analytics.overrides, analytics.daily_by_tag, analytics.daily_sentiment,
    analytics.current_sentiment;
DROP FUNCTION analytics.source_id, analytics.matches;
DROP VIEW analytics.sources, analytics.schema_version;
DROP TRIGGER touch_promoted ON sentiment.scorer;
DROP FUNCTION sentiment.touch, sentiment.touch_scored CASCADE;
DROP TABLE sentiment.override, sentiment.touched, sentiment.tally, sentiment.daily;
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    op.execute(_views("analytics_v1_analysts.sql"))


def downgrade() -> None:
    op.execute(DOWNGRADE)
    before, _, _ = _views("analytics_v1.sql").partition("CREATE VIEW analytics.run_history")
    op.execute(before)


def _views(name: str) -> str:
    return (VIEWS / name).read_text(encoding="utf-8").replace(":", r"\:")
