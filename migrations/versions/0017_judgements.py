"""Several people on one record of a review, and a role that may judge and nothing else.

Revision: 0017, after 0016
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

VIEWS = Path(__file__).parents[1] / "views"

# A worker of 0016 writes what one person says into review_item itself: no judgement of it is kept,
# and it counts all the same.
oldest_worker = "0014"

UPGRADE = """
ALTER TABLE sentiment.review
    ADD people smallint NOT NULL DEFAULT 1 CHECK (people BETWEEN 1 AND 5);

CREATE TABLE sentiment.review_judgement (
    review_id    bigint NOT NULL,
    number       integer NOT NULL,
    person       text NOT NULL CHECK (length(person) BETWEEN 1 AND 500),
    label        text CHECK (label IN ('negative', 'neutral', 'positive')),
    skipped_why  text,
    said_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (review_id, number, person),
    FOREIGN KEY (review_id, number) REFERENCES sentiment.review_item ON DELETE CASCADE,
    CHECK ((label IS NULL) <> (skipped_why IS NULL))
);
COMMENT ON TABLE sentiment.review_judgement IS
    'What one person says of a record of a draw, or why they passed it over.';

INSERT INTO sentiment.review_judgement (review_id, number, person, label, skipped_why, said_at)
SELECT review_id, number, left(coalesce(nullif(said_by, ''), 'unknown'), 500), said,
       CASE WHEN said IS NULL THEN skipped_why END, coalesce(said_at, now())
FROM sentiment.review_item WHERE said IS NOT NULL OR skipped_why IS NOT NULL;
"""

DOWNGRADE = """
DROP FUNCTION analytics.review_say, analytics.review_skip, analytics.review_undo,
    sentiment.review_settle;
DROP VIEW analytics.review_judgements, analytics.reviews;
DROP TABLE sentiment.review_judgement;
ALTER TABLE sentiment.review DROP COLUMN people;
"""


def upgrade() -> None:
    op.execute(UPGRADE)
    op.execute(_views("analytics_v1_judgements.sql"))


def downgrade() -> None:
    op.execute(DOWNGRADE)
    before = _views("analytics_v1_reviews.sql")
    op.execute(before[before.index("CREATE VIEW analytics.reviews AS") :])


def _views(name: str) -> str:
    return (VIEWS / name).read_text(encoding="utf-8").replace(":", r"\:")
