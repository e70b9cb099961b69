"""The newest records of a source at once. An index made beside the writers, so outside of a
transaction; one that was broken off is made anew.

Revision: 0010, after 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # It waits for transactions that began before it, and nobody waits for it meanwhile.
        before = op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar()
        op.execute("SET lock_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sentiment.record_by_moment")
        op.execute(
            "CREATE INDEX CONCURRENTLY record_by_moment ON sentiment.record"
            " (source_id, coalesce(published_at, ingested_at) DESC, id)"
        )
        op.execute(f"SET lock_timeout = '{before}'")


def downgrade() -> None:
    op.execute("DROP INDEX sentiment.record_by_moment")
    op.execute("DROP INDEX IF EXISTS sentiment.record_words")  # what `db search on` made
