"""Which source a place is, where nobody has configured one: a path, a URL, a database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from worker.clean import storable
from worker.errors import ConfigurationError
from worker.sources.http import needs_web

MOST_TABLES = 20
"""Of a database, that are named."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a `[[source]]` would say, and why."""

    kind: str
    said: dict[str, Any]
    why: tuple[str, ...] = ()


def guess(place: str, said: dict[str, Any]) -> Guess:
    """`said` is what is known already, by the names of a source's keys. Asks the web and databases;
    reads no file. Raises ConfigurationError and SourceUnavailable."""
    name = said.get("name") or name_of(place)
    scheme = place.partition("://")[0] if "://" in place else ""
    if scheme in ("", "s3"):
        return Guess("file", {"name": name, "path": place} | said)
    if scheme in ("http", "https"):
        if (urlsplit(place).hostname or "").startswith("sqs."):
            return Guess("sqs", {"name": name, "queue": place} | said)
        with needs_web(name):
            from worker.sources.web.guess import guess_web
        return guess_web(place, {"name": name, "url": place} | said)
    return _of_database(place, {"name": name, "url": place} | said)


def name_of(place: str) -> str:
    """Of the last part of a path, or the host of a URL."""
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        stem = parts.path.rstrip("/").rsplit("/", 1)[-1] or (parts.hostname or "")
    else:
        stem = place.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]
    stem = re.sub(r"[*?\[\]]", "", stem.split(".", 1)[0] or stem)
    return storable(stem)[:100] or "source"


def _of_database(place: str, said: dict[str, Any]) -> Guess:
    import sqlalchemy as sa

    from worker.sources.tables import engines
    from worker.sources.tables.keys import Xid8

    engine = engines.engine(place, 60.0)
    try:
        inspector = sa.inspect(engine)
        names = inspector.get_table_names()
        table = said.get("table") or (names[0] if len(names) == 1 else None)
        if table is None:
            there = ", ".join(sorted(names)[:MOST_TABLES]) or "none"
            raise ConfigurationError(
                "A database has many tables, and one is read.",
                hint=f"Name it: --table NAME. There are: {there}.",
            )
        schema, _, bare = table.rpartition(".")
        columns = inspector.get_columns(bare, schema=schema or None)
    except sa.exc.NoSuchTableError as error:
        raise ConfigurationError(f"There is no table {said['table']!r}.") from error
    except sa.exc.SQLAlchemyError as error:
        raise ConfigurationError(
            f"The database cannot be asked for its tables: {type(error).__name__}.",
            hint="Check the URL, the login, and that its driver is installed.",
        ) from error
    found = {"table": table} | said
    ordered = [column["name"] for column in columns if isinstance(column["type"], Xid8)]
    if "cursor" in found:
        return Guess("sql", found)
    if ordered:
        why = f"{ordered[0]} holds transaction ids: read in the order of commits, nothing is lost"
        return Guess("sql", found | {"cursor": ordered[0]}, (why,))
    why = "no cursor: every run reads the whole table. A column that grows with each change is one"
    return Guess("sql", found, (why,))
