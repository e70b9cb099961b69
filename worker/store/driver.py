"""psycopg's own cursor, where SQLAlchemy's would be slow or in the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

Cursor = psycopg.Cursor[Any]


def rows(cur: Cursor, sql: str, arguments: Any) -> list[Any]:
    return cur.execute(sql, arguments).fetchall()


def copy_rows(cur: Cursor, sql: str, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    with cur.copy(sql) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
