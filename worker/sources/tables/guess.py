"""Which table of a database a source would read, and by which cursor."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from worker import urls
from worker.errors import ConfigurationError, SourceUnavailable
from worker.sources.kinds import Guess
from worker.sources.tables import engines
from worker.sources.tables.keys import Xid8

MOST_TABLES = 20
"""That are named."""


def guess_table(place: str, said: dict[str, Any]) -> Guess:
    """Reads no row. Raises ConfigurationError and SourceUnavailable."""
    engine = engines.engine(place, 60.0)
    engines.require_file(engine)
    try:
        inspector = sa.inspect(engine)
        names = inspector.get_table_names()
        table = said.get("table") or (names[0] if len(names) == 1 else None)
        if table is None:
            there = ", ".join(sorted(names)[:MOST_TABLES]) or "none"
            raise ConfigurationError(
                "Name the table to read: this database has several.",
                hint=f"Add --table NAME. There are: {there}.",
            )
        schema, _, bare = table.rpartition(".")
        columns = inspector.get_columns(bare, schema=schema or None)
    except sa.exc.NoSuchTableError as error:
        raise ConfigurationError(f"There is no table {said['table']!r}.") from error
    except sa.exc.OperationalError as error:
        raise SourceUnavailable(
            f"The database {urls.place(engine.url)} does not answer.",
            hint="Check the URL, and that this machine can reach it.",
        ) from error
    except sa.exc.SQLAlchemyError as error:
        raise ConfigurationError(
            f"The database cannot be asked for its tables: {type(error).__name__}.",
            hint="Check the URL, the login, and that its driver is installed.",
        ) from error
    found = {"table": table} | said
    ordered = [column["name"] for column in columns if isinstance(column["type"], Xid8)]
    if ordered:
        why = f"{ordered[0]} holds transaction ids: read in the order of commits, nothing is lost"
        return Guess("sql", found | {"cursor": ordered[0]}, (why,))
    why = "no cursor: every run reads the whole table. A column that grows with each change is one"
    return Guess("sql", found, (why,))
