"""The next version's migrations: today's, and one more."""

from __future__ import annotations

import shutil
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from worker.store import migrate

MIGRATION = """
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = depends_on = None
{oldest}


def upgrade():
    op.execute("ALTER TABLE sentiment.record ADD COLUMN mood text")
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY record_by_mood ON sentiment.record (mood)")


def downgrade():
    op.execute("ALTER TABLE sentiment.record DROP COLUMN mood")
"""


def migrated_by_the_next_version(engine: Engine, folder: Path, oldest: str) -> None:
    """`oldest` is its word on the workers that it tolerates; "" says nothing."""
    scripts = folder / "migrations"
    shutil.copytree(migrate.scripts(), scripts)
    migration = MIGRATION.format(head=migrate.state(engine).head, oldest=oldest)
    (scripts / "versions" / "9999_next.py").write_text(migration, encoding="utf-8")
    config = Config()
    config.set_main_option("script_location", str(scripts))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
