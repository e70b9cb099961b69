"""The journal: sources, cursors, records, chunks, scores, runs, quarantine.

Revision: 0001, the first
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE sentiment.source (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> '' AND octet_length(name) <= 200),
    kind        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sentiment.run (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id     integer NOT NULL REFERENCES sentiment.source,
    trigger       text NOT NULL CHECK (trigger IN ('once', 'schedule', 'drain')),
    state         text NOT NULL DEFAULT 'running' CHECK (state IN
                      ('running', 'done', 'quarantined', 'degraded', 'stopped', 'failed', 'lost')),
    worker        text NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now(),
    heartbeat_at  timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    error         text,
    read          bigint NOT NULL DEFAULT 0,
    new           bigint NOT NULL DEFAULT 0,
    changed       bigint NOT NULL DEFAULT 0,
    unchanged     bigint NOT NULL DEFAULT 0,
    duplicate     bigint NOT NULL DEFAULT 0,
    quarantined   bigint NOT NULL DEFAULT 0,
    skipped       bigint NOT NULL DEFAULT 0,
    scored        bigint NOT NULL DEFAULT 0,
    provisional   bigint NOT NULL DEFAULT 0,
    undecided     bigint NOT NULL DEFAULT 0,
    superseded    bigint NOT NULL DEFAULT 0,
    dead          bigint NOT NULL DEFAULT 0,
    invocations   bigint NOT NULL DEFAULT 0,
    texts_sent    bigint NOT NULL DEFAULT 0,
    throttled     bigint NOT NULL DEFAULT 0,
    failed        bigint NOT NULL DEFAULT 0,
    fenced        bigint NOT NULL DEFAULT 0,
    CONSTRAINT run_counters_add_up
        CHECK (read = new + changed + unchanged + duplicate + quarantined)
) WITH (fillfactor = 50);
COMMENT ON CONSTRAINT run_counters_add_up ON sentiment.run IS
    'Every row read is accounted for, in every state of the run.';
CREATE INDEX run_by_source ON sentiment.run (source_id, started_at DESC);

CREATE TABLE sentiment.cursor (
    source_id   integer NOT NULL REFERENCES sentiment.source,
    partition   text NOT NULL,
    position    jsonb NOT NULL,
    version     bigint NOT NULL,
    run_id      bigint NOT NULL REFERENCES sentiment.run,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, partition)
);
COMMENT ON COLUMN sentiment.cursor.version IS
    'Compared and incremented by each commit: two runs cannot both move a cursor.';

-- record and score, written tens of thousands of times a second, have no foreign keys: their
-- checks were a quarter of the write (docs/decisions/0003). The journal writes both ends.
CREATE TABLE sentiment.record (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id      integer NOT NULL,
    external_id    text COLLATE "C" NOT NULL CHECK (octet_length(external_id) BETWEEN 1 AND 1024),
    content_hash   bytea NOT NULL CHECK (octet_length(content_hash) = 16),
    original_hash  bytea,
    text           text NOT NULL,
    published_at   timestamptz,
    author         text,
    language       text,
    tags           jsonb,
    flags          text[],
    skip_reason    text,
    revision       integer NOT NULL DEFAULT 1,
    run_id         bigint NOT NULL,
    ingested_at    timestamptz NOT NULL DEFAULT now(),
    revised_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source_id, external_id)
);
CREATE INDEX record_by_time ON sentiment.record (source_id, published_at DESC);

CREATE TABLE sentiment.revision (
    record_id     bigint NOT NULL REFERENCES sentiment.record ON DELETE CASCADE,
    revision      integer NOT NULL,
    content_hash  bytea NOT NULL,
    text          text NOT NULL,
    published_at  timestamptz,
    replaced_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (record_id, revision)
);
COMMENT ON TABLE sentiment.revision IS
    'What a record said before it was rewritten; its scores keep pointing at content_hash.';

CREATE FUNCTION sentiment.keep_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sentiment.revision (record_id, revision, content_hash, text, published_at)
    VALUES (old.id, old.revision, old.content_hash, old.text, old.published_at);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_revision AFTER UPDATE OF content_hash ON sentiment.record
    FOR EACH ROW WHEN (old.content_hash IS DISTINCT FROM new.content_hash)
    EXECUTE FUNCTION sentiment.keep_revision();

CREATE SEQUENCE sentiment.chunk_id;
CREATE TABLE sentiment.chunk (
    id              bigint PRIMARY KEY DEFAULT nextval('sentiment.chunk_id'),
    source_id       integer NOT NULL REFERENCES sentiment.source,
    run_id          bigint NOT NULL,
    root_id         bigint NOT NULL,
    state           text NOT NULL DEFAULT 'open'
                        CHECK (state IN ('open', 'done', 'split', 'dead')),
    visible_at      timestamptz NOT NULL DEFAULT now(),
    fence           bigint NOT NULL DEFAULT 0,
    leased_by       text,
    attempts        smallint NOT NULL DEFAULT 0,
    reason          text,
    repeats         smallint NOT NULL DEFAULT 0,
    parked          boolean NOT NULL DEFAULT false,
    provisional     boolean NOT NULL DEFAULT false,
    record_ids      bigint[] NOT NULL,
    content_hashes  bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    CHECK (octet_length(content_hashes) = 16 * cardinality(record_ids))
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
ALTER SEQUENCE sentiment.chunk_id OWNED BY sentiment.chunk.id;
COMMENT ON COLUMN sentiment.chunk.visible_at IS
    'When the chunk may be claimed: the end of a pause, or of a lease that was not kept.';
COMMENT ON COLUMN sentiment.chunk.content_hashes IS
    '16 bytes a record, in the order of record_ids: the revision that the chunk wants scored.';
COMMENT ON COLUMN sentiment.chunk.fence IS
    'Incremented by every claim; a chunk is settled only under the token that claimed it last.';
CREATE INDEX chunk_due ON sentiment.chunk (source_id, parked, visible_at) WHERE state = 'open';

CREATE TABLE sentiment.scorer (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider     text NOT NULL,
    model        text NOT NULL,
    version      text NOT NULL,
    promoted_at  timestamptz,
    first_seen   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, model, version)
);
COMMENT ON COLUMN sentiment.scorer.promoted_at IS
    'Where a record has scores by several models, the one promoted last is current.';

CREATE TABLE sentiment.score (
    record_id        bigint NOT NULL,
    content_hash     bytea NOT NULL,
    scorer_id        integer NOT NULL,
    label            text NOT NULL,
    score            double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    polarity         double precision NOT NULL CHECK (polarity BETWEEN -1 AND 1),
    provisional      boolean NOT NULL DEFAULT false,
    fallback_reason  text,
    chunk_id         bigint NOT NULL,
    run_id           bigint NOT NULL,
    scored_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (record_id, content_hash, scorer_id),
    CHECK (provisional = (fallback_reason IS NOT NULL))
);

CREATE TABLE sentiment.quarantine (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    integer NOT NULL REFERENCES sentiment.source,
    run_id       bigint NOT NULL,
    stage        text NOT NULL CHECK (stage IN ('read', 'score')),
    partition    text NOT NULL,
    "offset"     text NOT NULL,
    reason       text NOT NULL,
    raw          bytea NOT NULL CHECK (octet_length(raw) <= 4096),
    fingerprint  bytea NOT NULL,
    record_id    bigint REFERENCES sentiment.record ON DELETE CASCADE,
    chunk_id     bigint,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source_id, fingerprint)
);
COMMENT ON COLUMN sentiment.quarantine.fingerprint IS
    'Of place, reason and bytes: the same bad row, read again, is the same row here.';
"""

DOWNGRADE = """
DROP TABLE sentiment.quarantine, sentiment.score, sentiment.scorer, sentiment.chunk,
    sentiment.revision, sentiment.record, sentiment.cursor, sentiment.run, sentiment.source;
DROP FUNCTION sentiment.keep_revision();
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
