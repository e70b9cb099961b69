"""Three roles: owner, worker, analyst (SELECT on analytics alone).

The roles are group roles without login; `db roles` says how to give them to a login. Where
the migrating user may not create roles, the step goes on and `db roles` says what to run.

Revision: 0003, after 0002
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GRANTS = Path(__file__).parents[1] / "roles.sql"

DOWNGRADE = """
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['sentiment_owner', 'sentiment_worker', 'sentiment_analyst'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('DROP OWNED BY %I', r);
            BEGIN
                EXECUTE format('DROP ROLE %I', r);
            EXCEPTION WHEN dependent_objects_still_exist THEN
                RAISE NOTICE 'role % stays: another database of this server uses it', r;
            END;
        END IF;
    END LOOP;
END $$;
"""


def upgrade() -> None:
    op.execute(GRANTS.read_text(encoding="utf-8").replace(":", r"\:"))


def downgrade() -> None:
    op.execute(DOWNGRADE)
