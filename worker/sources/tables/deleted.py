"""Rows that a table marks as deleted, and all the ids that it still has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine

from worker.errors import ConfigurationError
from worker.sources.rows.columns import RowRefused, choose
from worker.sources.rows.layout import Layout
from worker.sources.rows.mapping import RecordMaker
from worker.sources.tables import keys

Row = Mapping[str, Any]

STANDS = ("", "0", "f", "false", "n", "no")
"""What a row says that is not deleted, besides NULL and false."""

IDS_AT_ONCE = 5_000


def apart(
    rows: Sequence[Row], column: ColumnElement[Any] | None
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Those that are deleted and those that are not, by the column that says so (a time, or true);
    None where there is no such column."""
    if column is None:
        return (), rows
    gone = [row for row in rows if _says_so(row[column.name])]
    return gone, [row for row in rows if not _says_so(row[column.name])]


def _says_so(value: Any) -> bool:
    return str(value or "").strip().lower() not in STANDS


def ids_of(rows: Sequence[Row], mapping: RecordMaker, in_utc: Sequence[str]) -> list[str]:
    """As they are stored; what cannot be an id never was."""
    found = []
    for row in rows:
        with contextlib.suppress(RowRefused):
            found.append(mapping.id_of(keys.with_zones(row, in_utc)))
    return found


def ids_there(
    name: str, engine: Engine, relation: sa.FromClause, layout: Layout, deleted: str | None
) -> Iterator[Sequence[str]]:
    """Of all rows that a table or query has and that are not deleted."""
    columns = choose(layout, list(relation.c.keys()), f"The source {name!r}")
    if columns.id is None:
        raise ConfigurationError(
            f"The source {name!r} has no id by which its rows are known.",
            hint='Name the column: id = "...".',
        )
    mapping = RecordMaker(layout, list(relation.c.keys()), file=name)
    mark = relation.c[deleted] if deleted else None
    wanted = [keys.as_read(relation.c[columns.id], engine.dialect.name)]
    if mark is not None:
        wanted.append(mark)
    in_utc = [column.name for column in relation.c if keys.is_utc(column)]
    options = {"stream_results": True, "max_row_buffer": IDS_AT_ONCE}
    with (
        engine.connect() as connection,
        connection.execute(sa.select(*wanted), execution_options=options) as result,
    ):
        for rows in result.mappings().partitions(IDS_AT_ONCE):
            _, there = apart([dict(row) for row in rows], mark)
            yield ids_of(there, mapping, in_utc)
