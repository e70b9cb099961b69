"""Rows that a table marks as deleted, and all the ids that it still has."""

from __future__ import annotations

import contextlib
import re
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

NOT_DELETED = frozenset(("", "0", "f", "false", "n", "no"))
DELETED = frozenset(("1", "t", "true", "y", "yes", "deleted"))

_TIME = re.compile(r"\s*\d{4}-\d\d-\d\d")

IDS_AT_ONCE = 5_000


def split_deleted(
    rows: Sequence[Row], column: ColumnElement[Any] | None
) -> tuple[Sequence[Row], Sequence[Row]]:
    """The deleted rows and the others. Without a column that says so, none is deleted."""
    if column is None:
        return (), rows
    parts: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        parts[not _is_deleted(row[column.name], column.name)].append(row)
    return parts


def _is_deleted(value: Any, name: str) -> bool:
    """A time, or true. Raises ConfigurationError for another text: a status, for example, would
    take every record away."""
    if isinstance(value, bytes):  # a BIT of MySQL
        value = int.from_bytes(value, "big")
    if not isinstance(value, str):
        return bool(value)
    word = value.strip().lower()
    if word in NOT_DELETED:
        return False
    if word in DELETED or _TIME.match(word):
        return True
    raise ConfigurationError(
        f"The column {name!r} holds a text that is neither a time nor true or false.",
        hint="`deleted` names a column that is empty, or false, as long as a row is there.",
    )


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
        wanted.append(keys.as_read(mark, engine.dialect.name))
    in_utc = [column.name for column in relation.c if keys.is_utc(column)]
    options = {"stream_results": True, "max_row_buffer": IDS_AT_ONCE}
    with (
        engine.connect() as connection,
        connection.execute(sa.select(*wanted), execution_options=options) as result,
    ):
        for rows in result.mappings().partitions(IDS_AT_ONCE):
            _, there = split_deleted([dict(row) for row in rows], mark)
            yield ids_of(there, mapping, in_utc)
