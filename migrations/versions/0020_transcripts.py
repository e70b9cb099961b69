"""Transcripts of recordings are kept: they are paid for once.

Revision: 0020, after 0019
"""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# Workers of 0019 know no source of kind audio, and refuse a configuration that has one.
oldest_worker = "0014"

UPGRADE = """
CREATE TABLE sentiment.transcript (
    source_id  integer NOT NULL REFERENCES sentiment.source,
    digest     bytea NOT NULL CHECK (octet_length(digest) = 16),
    requested_language text NOT NULL,
    from_s     double precision NOT NULL CHECK (from_s >= 0),
    until_s    double precision NOT NULL CHECK (until_s >= from_s),
    is_last    boolean NOT NULL,
    language   text,
    model      text NOT NULL,
    version    text NOT NULL,
    path       text NOT NULL,
    segments   jsonb NOT NULL,
    transcribed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, digest, requested_language, from_s)
);
COMMENT ON TABLE sentiment.transcript IS
    'A transcribed window of a recording: paid for once.';
COMMENT ON COLUMN sentiment.transcript.digest IS 'BLAKE2b over the recording, 16 bytes.';
COMMENT ON COLUMN sentiment.transcript.requested_language IS
    'The language that the source names; empty: it was to be detected.';
COMMENT ON COLUMN sentiment.transcript.is_last IS 'There is no more of the recording.';
COMMENT ON COLUMN sentiment.transcript.path IS 'Where it lay when it was transcribed.';
COMMENT ON COLUMN sentiment.transcript.segments IS
    '[start, end, text, confidence] each, in seconds of the recording.';
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    """Transcripts are lost, and would be paid for again; the records of them stay."""
    op.execute("DROP TABLE sentiment.transcript")
