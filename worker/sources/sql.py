"""A table or a query of any database that SQLAlchemy speaks to.

Three ways to know what is new, the safest that the table allows:

xid8       a column that holds pg_current_xact_id() of the writing transaction. Rows are read
           up to pg_snapshot_xmin(pg_current_snapshot()): no transaction below it is still
           running, so none can commit behind the cursor. Nothing is lost, nothing is read twice.
overlap    any other column (an id, updated_at) with a tie-breaker. A transaction that commits
           late commits behind the cursor, so each run reads an overlap again; the store
           absorbs what it knows. A commit later than the overlap is lost: choose it generously.
none       every run reads everything; the store absorbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine, exc

from worker import urls
from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger, printable
from worker.records import Layout, Page, Position, Record, Refusal
from worker.sources import identity, keys
from worker.sources.columns import FileMapping, RowRefused, choose
from worker.sources.keys import Xid8

log = get_logger(__name__)

PAGE_ROWS = 4_000


@dataclass(frozen=True, slots=True)
class SqlTarget:
    """What to read. Exactly one of `table` and `query`."""

    url: str
    table: str | None = None
    query: str | None = None
    cursor: str | None = None
    tie_breaker: str | None = None
    overlap: timedelta | float | None = None


class SqlSource:
    """`worker.ports.Source` over a table or a query; one partition, named ""."""

    def __init__(self, name: str, target: SqlTarget, layout: Layout) -> None:
        self.name = name
        self._target = target
        self._layout = layout

    def size(self) -> int | None:
        return None

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        engine = _engine(self._target.url)
        try:
            relation = _relation(engine, self._target)
            reader = _Reader(self.name, engine, relation, self._target, self._layout)
            yield from reader.pages(positions.get("", {}))
        except exc.NoSuchTableError as error:
            raise ConfigurationError(
                f"The source {self.name!r} has no table {self._target.table!r}.",
                hint='Write table = "schema.name" if it is not in the default schema.',
            ) from error
        except exc.OperationalError as error:
            raise SourceUnavailable(
                f"The database of source {self.name!r} does not answer: {_reason(error)}",
                hint="Its url is in the configuration; records that came before are kept.",
            ) from error
        except (exc.ProgrammingError, exc.DataError) as error:
            raise ConfigurationError(
                f"The database of source {self.name!r} refuses the query: {_reason(error)}",
                hint="Check table, query, column names and the user's rights.",
            ) from error
        except exc.DBAPIError as error:
            raise SourceUnavailable(
                f"The database of source {self.name!r} failed: {_reason(error)}"
            ) from error


class _Reader:
    def __init__(
        self,
        name: str,
        engine: Engine,
        relation: sa.FromClause,
        target: SqlTarget,
        layout: Layout,
    ) -> None:
        self._name = name
        self._engine = engine
        self._relation = relation
        self._mapping = FileMapping(layout, list(relation.c.keys()), file=name)
        self._columns = choose(layout, list(relation.c.keys()), f"The source {name!r}")
        self._cursor = self._column(target.cursor) if target.cursor else None
        tie = target.tie_breaker or self._columns.id
        self._tie = self._column(tie) if tie else None
        self._in_commit_order = self._cursor is not None and isinstance(self._cursor.type, Xid8)
        self._overlap = target.overlap
        if self._cursor is not None and self._tie is None:
            raise ConfigurationError(
                f"The source {name!r} has a cursor and no tie_breaker.",
                hint='Name a unique column: tie_breaker = "id".',
            )

    def pages(self, position: Position) -> Iterator[Page]:
        key = [c for c in (self._cursor, self._tie) if c is not None]
        if not key:
            raise ConfigurationError(
                f"The source {self._name!r} has neither an id nor a cursor to read in order by.",
                hint='Name the column: id = "...".',
            )
        identity.require_same(position, self._mapping.identity, "")
        self._warn_of_nulls()
        layout = repr(self._columns)
        after = self._start(position) if position.get("layout") == layout else None
        highest = self._highest(position) if after is not None else None
        reading = token_hex(4) if after is None else position.get("reading", "")
        from_the_beginning = after is None
        bound = self._watermark()
        while True:
            rows = self._read(key, after, bound)
            if rows:
                after = [rows[-1][c.name] for c in key]
                highest = after if highest is None or after[0] >= highest[0] else highest
            records, refusals = self._records(rows)
            here: dict[str, Any] = {"layout": layout, "reading": reading}
            if self._cursor is None:
                here["read"] = len(rows)
            else:
                here["after"] = keys.dumps(highest)
            last = len(rows) < PAGE_ROWS
            if rows or (last and from_the_beginning and highest is not None):
                yield Page(
                    *("", here, records, refusals),
                    identity=self._mapping.identity,
                    reading=reading,
                    complete=last,
                )
            if last:
                return

    def _column(self, name: str) -> ColumnElement[Any]:
        try:
            return self._relation.c[name]
        except KeyError:
            raise ConfigurationError(
                f"The source {self._name!r} has no column {name!r}.",
                hint=f"Its columns are: {', '.join(self._relation.c.keys())}.",
            ) from None

    def _start(self, position: Position) -> list[Any] | None:
        """Where to begin: behind the cursor by the overlap, unless commits are in order."""
        if self._cursor is None or "after" not in position:
            return None
        value, tie = self._highest(position)
        if self._in_commit_order:
            return [value, tie]
        return [keys.minus(value, self._overlap), None]

    def _highest(self, position: Position) -> list[Any]:
        """The key that the cursor stands at."""
        value, tie = keys.loads(position["after"])
        return [int(value) if self._in_commit_order else value, tie]

    def _watermark(self) -> int | None:
        """The oldest transaction that may still write: everything below it has committed."""
        if not self._in_commit_order:
            return None
        with self._engine.connect() as connection:
            now = sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
            return int(connection.scalar(now) or 0)

    def _read(
        self, key: Sequence[ColumnElement[Any]], after: list[Any] | None, bound: int | None
    ) -> list[dict[str, Any]]:
        names = self._columns.names() + [c.name for c in key]
        wanted = [self._relation.c[name] for name in dict.fromkeys(names)]
        statement = sa.select(*wanted).order_by(*key).limit(PAGE_ROWS)
        if self._cursor is not None:
            statement = statement.where(self._cursor.is_not(None))
        if after is not None:
            statement = statement.where(keys.beyond(key, after, self._engine.dialect.name))
        if bound is not None:
            assert self._cursor is not None
            statement = statement.where(self._cursor < bound)
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def _records(self, rows: Sequence[Mapping[str, Any]]) -> tuple[list[Record], list[Refusal]]:
        records: list[Record] = []
        refusals: list[Refusal] = []
        for row in rows:
            try:
                records.append(self._mapping.record(row))
            except RowRefused as error:
                place = f"{self._columns.id} {row.get(self._columns.id or '')}"
                refusals.append(Refusal(printable(place), str(error), repr(dict(row)).encode()))
        self._mapping.raise_if_nothing_fits(records)
        return records, refusals

    def _warn_of_nulls(self) -> None:
        if self._cursor is None:
            log.warning("source.reads_everything", source=self._name, why="it names no cursor")
            return
        if not getattr(self._cursor, "nullable", True):
            return
        without = sa.select(sa.literal(1)).select_from(self._relation)
        with self._engine.connect() as connection:
            found = connection.scalar(sa.select(without.where(self._cursor.is_(None)).exists()))
        if found:
            log.warning(
                "source.rows_without_cursor",
                source=self._name,
                column=self._cursor.name,
                advice="they cannot be read: fill the column, or name another cursor",
            )


@lru_cache(maxsize=64)
def _engine(url: str) -> Engine:
    """One for a database, whatever the number of runs: SQLAlchemy's reflection remembers every
    dialect that ever asked, and a compiled statement its table, which each run reflects anew."""
    parsed = urls.parse(url, "The source's url")
    try:
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(parsed, poolclass=sa.NullPool, query_cache_size=0)
    except (exc.NoSuchModuleError, ImportError) as error:
        raise ConfigurationError(
            f"The source's url needs a driver that is not installed: {error}.",
            hint="Install the driver's package beside sentiment-worker.",
        ) from error


def _relation(engine: Engine, target: SqlTarget) -> sa.FromClause:
    """The table as the database describes it, or the query as a subselect."""
    if target.table:
        schema, _, name = target.table.rpartition(".")
        metadata = sa.MetaData()
        return sa.Table(name, metadata, schema=schema or None, autoload_with=engine)
    assert target.query is not None
    text = target.query.strip().rstrip(";")
    with engine.connect() as connection:
        # The query is the operator's own, from the configuration.
        probe = connection.execute(sa.text(f"SELECT * FROM ({text}) q WHERE 1 = 0"))  # noqa: S608
        described = [
            sa.column(str(d[0]), Xid8() if _is_xid8(d) else None) for d in probe.cursor.description
        ]
    return sa.text(text).columns(*described).subquery("q")


def _is_xid8(description: Any) -> bool:
    """PostgreSQL's type oid of xid8 (pg_type.dat)."""
    return bool(description[1] == 5069)


def _reason(error: exc.DBAPIError) -> str:
    return printable((str(error.orig).strip().splitlines() or [type(error).__name__])[0])
