"""The schema `analytics` is an API: its columns, their types, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Engine

CONTRACT = Path(__file__).parents[1] / "contract" / "golden" / "analytics_v1.txt"

_COLUMNS = """
SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod),
       col_description(c.oid, a.attnum), obj_description(c.oid, 'pg_class')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'analytics'::regnamespace AND a.attnum > 0
ORDER BY c.relname, a.attnum
"""


def test_columns_are_only_ever_added_at_the_end(engine: Engine) -> None:
    """A column that is gone, renamed, moved or of another type breaks somebody's query: that is a
    new version of the schema (docs/analytics.md). A new one is added to the contract's file."""
    with engine.connect() as connection:
        found = [row[0] for row in connection.execute(sa.text(_COLUMNS))]
    assert found == CONTRACT.read_text(encoding="utf-8").splitlines()


def test_every_view_and_column_says_what_it_is(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = list(connection.execute(sa.text(_COLUMNS)))
        silent = connection.scalars(
            sa.text(
                "SELECT proname FROM pg_proc WHERE pronamespace = 'analytics'::regnamespace"
                " AND obj_description(oid, 'pg_proc') IS NULL"
            )
        ).all()
    assert not [column for column, said, view_said in rows if not said or not view_said]
    assert not silent
