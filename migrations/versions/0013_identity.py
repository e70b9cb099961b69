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


# What calls have cost stays when a source is removed, under a source of its own. Analysts see only
# sources that are read.
VIEWS = """
CREATE OR REPLACE VIEW analytics.sources AS
SELECT id, name, kind, created_at FROM sentiment.source {where};

CREATE OR REPLACE VIEW analytics.pending_work AS
SELECT source.name                                        AS source,
       count(chunk.id)                                    AS chunks,
       coalesce(sum(cardinality(chunk.record_ids)), 0)    AS records,
       coalesce(sum(cardinality(chunk.record_ids)) FILTER (WHERE chunk.provisional), 0)
                                                          AS provisional_records,
       count(chunk.id) FILTER (WHERE chunk.leased_by IS NOT NULL AND chunk.visible_at > now())
                                                          AS leased_chunks,
       min(chunk.created_at)                              AS oldest
FROM sentiment.source
LEFT JOIN sentiment.chunk
    ON chunk.source_id = source.id AND chunk.state = 'open' AND chunk.lane = 0
{where}
GROUP BY source.id;
"""
READ = "WHERE source.kind <> 'removed'"

# A model's own labels: there are few, so a mistyped one is told from them at once.
OWN_LABELS = "label NOT IN ('positive', 'neutral', 'negative')"


def upgrade() -> None:
    op.execute("ALTER TABLE sentiment.cursor ADD COLUMN identity jsonb")
    op.execute(VIEWS.format(where=READ))
    op.execute(
        "COMMENT ON COLUMN sentiment.cursor.identity IS "
        "'The rule of its records'' ids, and the column of their texts; null: read before 0013.'"
    )
    with op.get_context().autocommit_block():
        # Beside the writers, as in 0010.
        before = op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar()
        op.execute("SET lock_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sentiment.score_own_label")
        op.execute(
            "CREATE INDEX CONCURRENTLY score_own_label ON sentiment.score (label)"
            f" WHERE {OWN_LABELS}"
        )
        op.execute(f"SET lock_timeout = '{before}'")


def downgrade() -> None:
    op.execute(VIEWS.format(where=""))
    op.execute("DROP INDEX sentiment.score_own_label")
    op.execute("ALTER TABLE sentiment.cursor DROP COLUMN identity")
