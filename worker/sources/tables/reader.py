"""Reads a table or query in the order of its key, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Engine

from worker.errors import ConfigurationError
from worker.log import get_logger, printable
from worker.records import Page, Position, Record, Refusal, Remark
from worker.sources.rows import identity
from worker.sources.rows.columns import RowRefused, choose
from worker.sources.rows.layout import Layout
from worker.sources.rows.mapping import RecordMaker
from worker.sources.tables import deleted, keys, place, waiting
from worker.sources.tables.deleted import Row
from worker.sources.tables.engines import SqlTarget
from worker.sources.tables.keys import Xid8
from worker.sources.tables.uniqueness import require_unique

log = get_logger(__name__)

PAGE_CHARS = 8 * 1024 * 1024
"""Of a page's texts: rows are of any size, and a few pages are in memory at once."""

FETCHED_ROWS = 200
"""At once, at most; the first few are fetched five by five."""


class TableReader:
    def __init__(
        self, name: str, engine: Engine, relation: sa.FromClause, target: SqlTarget, layout: Layout
    ) -> None:
        self._name = name
        self._engine = engine
        self._relation = relation
        self._mapping = RecordMaker(layout, list(relation.c.keys()), file=name)
        self._columns = choose(layout, list(relation.c.keys()), f"The source {name!r}")
        self._cursor = self._column(target.cursor) if target.cursor else None
        self._named = self._cursor
        if self._cursor is not None and engine.dialect.name == "sqlite":
            self._cursor = keys.in_order(self._cursor)
        tie = target.tie_breaker or self._columns.id
        self._tie = self._column(tie) if tie else None
        self._in_commit_order = self._cursor is not None and isinstance(self._cursor.type, Xid8)
        self._overlap = target.overlap
        self._limit = self._page_rows = target.page_rows
        self._in_utc = [column.name for column in relation.c if keys.is_utc(column)]
        self._table = target.table
        self._deleted = self._column(target.deleted) if target.deleted else None
        if isinstance(relation, sa.Table) and self._columns.id:
            require_unique(relation, self._columns.id)
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
        # In this order: after a failover between the two the cursor is of the older timeline, and
        # the next run reads all again.
        told = place.of(self._engine, self._table, self._named)
        bound = self._watermark()
        layout = repr(self._columns)
        after = self._after(position, told, layout, bound)
        now = place.carried(position.get("of") or {}) | told
        highest = self._highest(position) if after is not None else None
        reading = token_hex(4) if after is None else position.get("reading", "")
        from_the_beginning = after is None
        refusals = self._without_id(after, bound)
        while True:
            rows, last = self._read(key, after, bound)
            if rows:
                after = [rows[-1][c.name] for c in key]
                self._require_steps(after[0])
                highest = after if highest is None or after[0] >= highest[0] else highest
            records, refused, gone = self._records(rows)
            refusals += refused
            here: dict[str, Any] = {"layout": layout, "reading": reading, "of": now}
            if self._cursor is None:
                here["read"] = len(rows)
            elif highest is not None:
                here["after"] = keys.dumps(highest)
            emptied = "after" in position and highest is None
            if rows or refusals or (last and from_the_beginning and highest) or emptied:
                yield Page(
                    *("", here, records, refusals),
                    identity=self._mapping.identity,
                    reading=reading,
                    complete=last,
                    gone=gone,
                )
            if last:
                return
            refusals = []

    def remark(self) -> Remark | None:
        """Of a source in commit order: what rows wait for that are committed, if there are any."""
        bound = self._watermark()
        if bound is None:
            return None
        assert self._cursor is not None
        held = sa.select(sa.exists().where(self._cursor >= bound).select_from(self._relation))
        with self._engine.connect() as connection:
            if not connection.scalar(held):
                return None
        return waiting.behind(self._engine, bound)

    def _column(self, name: str) -> ColumnElement[Any]:
        try:
            return self._relation.c[name]
        except KeyError:
            raise ConfigurationError(
                f"The source {self._name!r} has no column {name!r}.",
                hint=f"Its columns are: {', '.join(self._relation.c.keys())}.",
            ) from None

    def _after(
        self, position: Position, now: Mapping[str, Any], layout: str, bound: int | None
    ) -> list[Any] | None:
        """Where to begin; None: at the beginning. Raises ConfigurationError where the cursor means
        nothing here, and rows would be left out."""
        if self._cursor is None or "after" not in position:
            return None
        known = position.get("of") or {}
        place.require_same(known, now, self._name)
        if position.get("layout") != layout:
            return None
        if place.has_failed_over(known, now):
            log.warning("source.failed_over", source=self._name, advice="it is read whole again")
            return None
        value, tie = self._start(position)
        newest = self._newest()
        if newest is None:
            return None  # emptied: what comes next may count from one again
        if bound is None:
            self._require_reached(newest, value)
        elif not place.same_cluster(known, now):
            self._require_reached(bound - 1, value)
        # A replica of the same cluster that lags behind will come to where its primary was read.
        return [value, tie]

    def _require_reached(self, newest: Any, value: Any) -> None:
        if newest < value:
            raise ConfigurationError(
                f"The source {self._name!r} was read up to {value}, and now ends at {newest}: its"
                " newest rows were deleted, or it is another table, or another database.",
                hint=place.advice(self._name),
            )

    def _newest(self) -> Any:
        """The cursor's highest value; None where there is no row."""
        assert self._cursor is not None
        held = sa.select(self._cursor).where(self._cursor.is_not(None), *self._finite())
        with self._engine.connect() as connection:
            return connection.scalar(held.order_by(self._cursor.desc()).limit(1))

    def _require_steps(self, value: Any) -> None:
        """Raises ConfigurationError for a cursor of texts or uuids, before a row is stored: the
        next run could not begin an overlap earlier."""
        if self._cursor is not None and not self._in_commit_order:
            keys.minus(value, self._overlap)

    def _start(self, position: Position) -> list[Any]:
        """Behind the cursor by the overlap, unless commits are in order."""
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
    ) -> tuple[list[dict[str, Any]], bool]:
        """The next rows, and whether they are the last."""
        names = self._columns.names()
        wanted = self._wanted()
        wanted += [c for c in key if c.name not in names]
        if self._deleted is not None and self._deleted.name not in names:
            wanted.append(keys.as_read(self._deleted, self._engine.dialect.name))
        statement = sa.select(*wanted).order_by(*key)
        if after is not None:
            statement = statement.where(keys.beyond(key, after, self._engine.dialect.name))
        statement = statement.where(*(c.is_not(None) for c in key), *self._finite())
        return self._rows(statement, bound)

    def _wanted(self) -> list[ColumnElement[Any]]:
        dialect = self._engine.dialect.name
        return [keys.as_read(self._relation.c[name], dialect) for name in self._columns.names()]

    def _finite(self) -> list[ColumnElement[bool]]:
        """Behind infinity, NaN and the last day of all nothing would ever be new; MariaDB's zero
        date is no date."""
        if self._cursor is None or self._engine.dialect.name not in keys.HAVE_ENDS:
            return []
        return keys.finite(self._cursor)

    def _rows(
        self, statement: sa.Select[Any], bound: int | None
    ) -> tuple[list[dict[str, Any]], bool]:
        """A page's rows, and whether the statement has no more."""
        if bound is not None:
            assert self._cursor is not None
            statement = statement.where(self._cursor < bound)
        rows: list[dict[str, Any]] = []
        chars, limit = 0, self._limit
        statement = statement.limit(limit)
        options = {"stream_results": True, "max_row_buffer": FETCHED_ROWS}
        with (
            self._engine.connect() as connection,
            connection.execute(statement, execution_options=options) as result,
        ):
            for row in result.mappings():
                rows.append(dict(row))
                chars += sum(len(v) for v in row.values() if isinstance(v, str | bytes))
                if chars >= PAGE_CHARS and len(rows) < limit:
                    # Some drivers read on to the end of what was asked for: ask for less.
                    self._limit = 2 * len(rows)
                    return rows, False
        self._limit = min(2 * limit, self._page_rows)
        return rows, len(rows) < limit

    def _without_id(self, after: list[Any] | None, bound: int | None) -> list[Refusal]:
        """Rows whose id is NULL stand nowhere in the order: they are asked for by themselves, a
        page of them at most."""
        if self._tie is None or not getattr(self._tie, "nullable", True):
            return []
        wanted = self._wanted()
        statement = sa.select(*wanted).where(self._tie.is_(None))
        if self._cursor is not None and after is not None:
            # What stands at the cursor itself was read with it, but for an overlap.
            strict = self._in_commit_order
            statement = statement.where(
                self._cursor > after[0] if strict else self._cursor >= after[0]
            )
        rows, last = self._rows(statement, bound)
        if not last:
            log.warning("source.rows_without_id", source=self._name, shown=len(rows))
        why = f"no usable id in {self._tie.name!r}"
        return [Refusal("without an id", why, repr(row).encode()) for row in rows]

    def _records(self, rows: Sequence[Row]) -> tuple[list[Record], list[Refusal], list[str]]:
        """Records, rows that cannot become one, and the ids of those that are deleted."""
        gone, rows = deleted.split_deleted(rows, self._deleted)
        records: list[Record] = []
        refusals: list[Refusal] = []
        for row in rows:
            try:
                records.append(self._mapping.record(keys.with_zones(row, self._in_utc)))
            except RowRefused as error:
                where = f"{self._columns.id} {row.get(self._columns.id or '')}"
                refusals.append(Refusal(printable(where), str(error), repr(dict(row)).encode()))
        self._mapping.raise_if_nothing_fits(records)
        return records, refusals, deleted.ids_of(gone, self._mapping, self._in_utc)

    def _warn_of_nulls(self) -> None:
        if self._cursor is None:
            log.warning("source.reads_everything", source=self._name, why="it names no cursor")
            return
        if not getattr(self._cursor, "nullable", True) and not self._finite():
            return
        without = sa.select(sa.literal(1)).select_from(self._relation)
        unusable = sa.or_(self._cursor.is_(None), *(sa.not_(each) for each in self._finite()))
        with self._engine.connect() as connection:
            found = connection.scalar(sa.select(without.where(unusable).exists()))
        if found:
            log.warning(
                "source.rows_without_cursor",
                source=self._name,
                column=self._named.name if self._named is not None else "",
                advice="they cannot be read: fill the column, or name another cursor",
            )
