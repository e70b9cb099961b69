"""Records that are drawn for people to review.

Revision: 0016, after 0015
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views"

# Workers of 0015 know nothing of reviews, and need not. Those of 0014 know neither.
oldest_worker = "0014"

UPGRADE = """
CREATE TABLE sentiment.review (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id  integer NOT NULL REFERENCES sentiment.source (id) ON DELETE CASCADE,
    since      timestamptz,
    until      timestamptz,
    negative   bigint NOT NULL,
    neutral    bigint NOT NULL,
    positive   bigint NOT NULL,
    drawn_by   text NOT NULL,
    drawn_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sentiment.review IS
    'A draw of records for people to review, with how many the machine called what.';
CREATE INDEX review_by_source ON sentiment.review (source_id, id DESC);

CREATE TABLE sentiment.review_item (
    review_id     bigint NOT NULL REFERENCES sentiment.review (id) ON DELETE CASCADE,
    number        integer NOT NULL,
    record_id     bigint NOT NULL REFERENCES sentiment.record (id) ON DELETE CASCADE,
    content_hash  bytea NOT NULL,
    part          text NOT NULL,
    probability   float8,
    label         text NOT NULL,
    score         float8 NOT NULL,
    model         text NOT NULL,
    language      text,
    said          text CHECK (said IN ('negative', 'neutral', 'positive')),
    said_by       text,
    said_at       timestamptz,
    skipped_why   text,
    PRIMARY KEY (review_id, number),
    CHECK (said IS NULL OR skipped_why IS NULL)
);
COMMENT ON TABLE sentiment.review_item IS
    'A record of a draw, with what the machine said of it then, and what a person says.';
CREATE INDEX review_item_by_record ON sentiment.review_item (record_id);
"""

DOWNGRADE = """
DROP VIEW analytics.review_items, analytics.reviews;
DROP TABLE sentiment.review_item, sentiment.review;
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    op.execute((VIEWS / "analytics_v1_reviews.sql").read_text(encoding="utf-8").replace(":", r"\:"))


def downgrade() -> None:
    op.execute(DOWNGRADE)
