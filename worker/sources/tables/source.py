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

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, exc

from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger, printable
from worker.records import Page, Position, Remark
from worker.sources.rows.layout import Layout
from worker.sources.tables import engines, keys
from worker.sources.tables.deleted import ids_there
from worker.sources.tables.engines import SqlTarget
from worker.sources.tables.reader import TableReader
from worker.sources.tables.uniqueness import require_key

log = get_logger(__name__)


STATEMENT_ENDED = "57014"
"""query_canceled: https://www.postgresql.org/docs/current/errcodes-appendix.html"""

REASON_CHARS = 200
"""Of a server's message, in our errors."""

_VALUE = re.compile(r": [\"'].*", re.DOTALL)
"""'invalid input syntax for type integer: "...'."""


class SqlSource:
    """`worker.ports.Source` over a table or a query; one partition, named ""."""

    def __init__(self, name: str, target: SqlTarget, layout: Layout) -> None:
        self.name = name
        self.remark: Remark | None = None
        self._target = target
        self._layout = layout

    def size(self) -> int | None:
        return None

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        with self._wrapped():
            reader = self._reader()
            self.remark = None
            yield from reader.pages(positions.get("", {}))
            self.remark = self._remark(reader)

    def ids(self) -> Iterator[Sequence[str]]:
        with self._wrapped():
            engine, relation = self._opened()
            # What it refuses to read is not to be compared either.
            TableReader(self.name, engine, relation, self._target, self._layout)
            yield from ids_there(self.name, engine, relation, self._layout, self._target.deleted)

    def _reader(self) -> TableReader:
        return TableReader(self.name, *self._opened(), self._target, self._layout)

    def _opened(self) -> tuple[Engine, sa.FromClause]:
        engine = engines.engine(self._target.url, self._target.timeout_s)
        relation = _relation(engine, self._target)
        return engine, self._with_whole_key(relation) if self._target.key else relation

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        """The driver's errors as ours."""
        try:
            yield
        except exc.NoSuchTableError as error:
            raise ConfigurationError(
                f"The source {self.name!r} has no table {self._target.table!r}.",
                hint='Write table = "schema.name" if it is not in the default schema.',
            ) from error
        except exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == STATEMENT_ENDED:
                raise SourceUnavailable(
                    f"A statement of source {self.name!r} was ended: {_reason(error)}.",
                    hint=f"It may take {self._target.timeout_s:.0f} s: index the cursor's column,"
                    " or raise the source's `timeout`.",
                ) from error
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

    def _with_whole_key(self, relation: sa.FromClause) -> sa.FromClause:
        """Raises ConfigurationError where the parts are not there, or are no key."""
        for name in self._target.key:
            if name not in relation.c:
                raise ConfigurationError(
                    f"The source {self.name!r} has no column {name!r}.",
                    hint=f"Its columns are: {', '.join(relation.c.keys())}.",
                )
        if isinstance(relation, sa.Table):
            require_key(relation, self._target.key)
        return keys.joined(relation, self._target.key)

    def _remark(self, reader: TableReader) -> Remark | None:
        """What has been read is read, whether or not the database tells what it could not give."""
        try:
            return reader.remark()
        except exc.SQLAlchemyError as error:
            log.warning("source.remark_failed", source=self.name, error=type(error).__name__)
            return None


def _relation(engine: Engine, target: SqlTarget) -> sa.FromClause:
    """The table as the database describes it, or the query as a subselect."""
    engines.require_file(engine)
    if target.table:
        schema, _, name = target.table.rpartition(".")
        metadata = sa.MetaData()
        return sa.Table(name, metadata, schema=schema or None, autoload_with=engine)
    assert target.query is not None
    # A colon is the query's own, in ':foo' as in a cast: SQLAlchemy would take it for a parameter.
    # The line break ends a comment in its last line.
    text = target.query.strip().rstrip(";").replace(":", r"\:") + "\n"
    with engine.connect() as connection:
        # The query is the operator's own, from the configuration.
        probe = connection.execute(sa.text(f"SELECT * FROM ({text}) q WHERE 1 = 0"))  # noqa: S608
        columns: Any = probe.cursor.description
        described = [sa.column(str(d[0]), keys.TYPES.get(d[1])) for d in columns]
    return sa.text(text).columns(*described).subquery("q")


def _reason(error: exc.DBAPIError) -> str:
    """What the server says in its first line, without the values that it quotes: they are records,
    and this goes into logs. No name in PostgreSQL has more than 63 bytes."""
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    said = primary or (str(error.orig).strip().splitlines() or [type(error).__name__])[0]
    said = _VALUE.sub(": (a value)", said)
    return printable(said if len(said) <= REASON_CHARS else said[:REASON_CHARS] + "...")
