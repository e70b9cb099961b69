"""Is an id of a table unique? Rows with the same one would replace each other."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from worker.errors import ConfigurationError


def require_key(table: sa.Table, names: Sequence[str]) -> None:
    """Raises ConfigurationError where rows may share all of these columns."""
    found = _unique_in(table)
    if found and not any(unique <= set(names) for unique in found):
        raise ConfigurationError(
            f"({', '.join(names)}) is no key of {table.name}: rows with the same values would"
            " replace each other.",
            hint="Its keys are: " + "; ".join(", ".join(sorted(unique)) for unique in found) + ".",
        )


def _unique_in(table: sa.Table) -> list[set[str]]:
    """Sets of columns that no two rows share."""
    found = [{column.name for column in table.primary_key.columns}]
    found += [
        {c.name for c in index.columns}
        for index in table.indexes
        if index.unique and index.dialect_kwargs.get("postgresql_where") is None
    ]
    found += [
        {c.name for c in constraint.columns}
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    ]
    return [unique for unique in found if unique]


def require_unique(table: sa.Table, name: str) -> None:
    """Raises ConfigurationError where a table's key says that a column is not unique by itself:
    rows would replace each other."""
    key = [column.name for column in table.primary_key.columns]
    if len(key) < 2 or name not in key or {name} in _unique_in(table):
        return
    parts = ", ".join(f'"{part}"' for part in key)
    raise ConfigurationError(
        f"{name!r} alone is no id of {table.name}: its key is ({', '.join(key)}), and rows with"
        " the same one would replace each other.",
        hint=f"Name all of it: id = [{parts}].",
    )
