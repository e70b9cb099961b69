"""The key that a table is read in order by: kept as JSON, compared in SQL, stepped back by an
overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy as sa
from psycopg.adapt import Loader
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from sqlalchemy import ColumnElement
from sqlalchemy.dialects import mysql, postgresql

from worker.errors import ConfigurationError

DEFAULT_OVERLAP = timedelta(minutes=10)
DEFAULT_OVERLAP_NUMBER = 1_000

_TUPLE_DIALECTS = ("postgresql", "mysql", "mariadb", "sqlite")

HAVE_ENDS = ("postgresql", "mysql", "mariadb", "sqlite")
"""Dialects whose columns may hold what `finite` leaves out."""


class Xid8(sa.types.UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id: compared in SQL, carried as an integer.
    https://www.postgresql.org/docs/current/datatype-oid.html"""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"

    def bind_expression(self, bindvalue: sa.BindParameter[int]) -> ColumnElement[Any]:
        return sa.cast(sa.cast(bindvalue, sa.Text), self)

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        return str

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        # Coerced back: a cast's result would be text, and '999' is above '1000'.
        return sa.type_coerce(sa.cast(column, sa.Text), self)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return lambda value: None if value is None else int(value)


postgresql.base.ischema_names["xid8"] = Xid8

TYPES: Mapping[int, sa.types.TypeEngine[Any]] = {
    5069: Xid8(),
    1082: sa.Date(),
    1114: sa.DateTime(),
    1184: sa.DateTime(timezone=True),
    700: sa.Float(),
    701: sa.Float(),
    1700: sa.Numeric(),
    7: mysql.TIMESTAMP(),
    10: sa.Date(),
    12: sa.DateTime(),
}
"""Types of a query's columns that matter: by PostgreSQL's oid (pg_type.dat; they begin at 16), and
by MySQL's field type (https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html)."""

_LAST_TIME = "'9999-12-30'"


class SqliteTime(sa.types.TypeDecorator[datetime]):
    """A time as `in_order` writes it."""

    impl = sa.String
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.isoformat(" ", "milliseconds")

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class SqliteDate(sa.types.TypeDecorator[date]):
    """A date as `in_order` writes it."""

    impl = sa.String
    cache_ok = True

    @property
    def python_type(self) -> type[date]:
        return date

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.isoformat()

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> date | None:
        return None if value is None else date.fromisoformat(value)


def in_order(cursor: ColumnElement[Any]) -> ColumnElement[Any]:
    """SQLite stores times as texts in many forms, which do not sort in the order of time. This
    converts them all to one form, in UTC; to NULL what is not a time."""
    as_date = isinstance(cursor.type, sa.Date)
    if not (as_date or isinstance(cursor.type, sa.DateTime)):
        return cursor
    form: Any = ("%Y-%m-%d", SqliteDate()) if as_date else ("%Y-%m-%d %H:%M:%f", SqliteTime())
    said = sa.type_coerce(cursor, sa.String)
    # SQLite would also take 'now', 12:00 and any number for a time. "+0 days" turns 30 February
    # into a day that exists.
    is_dated = said.op("GLOB")("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*")
    text = sa.case((is_dated, sa.func.strftime(form[0], said, "+0 days")))
    return sa.type_coerce(text, form[1]).label(f"{cursor.name} in order")


def finite(cursor: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """Conditions under which PostgreSQL's value has another behind it that Python can hold:
    infinity less itself is NaN, and NaN equals no number."""
    if isinstance(cursor.type, sa.Date | sa.DateTime | SqliteDate | SqliteTime):
        return [cursor > sa.literal_column("'0001-01-02'"), cursor < sa.literal_column(_LAST_TIME)]
    if isinstance(cursor.type, sa.Numeric | sa.Float):
        return [cursor - cursor == 0]
    return []


def in_utc(connection: Any, _: object = None) -> None:
    """MySQL shows a TIMESTAMP in the session's zone: in one with summer time an hour comes twice,
    and a cursor in it would go back."""
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")


def is_utc(column: ColumnElement[Any]) -> bool:
    """Are the column's times in UTC, whatever zone the source names?"""
    return isinstance(column.type, mysql.TIMESTAMP)


def lenient_texts(connection: Any, _: object = None) -> None:
    """Let SQLite give a text that is not UTF-8 as bytes: the row that holds it is refused, and not
    the source, whose error would hold the text."""

    def decoded(data: bytes) -> str | bytes:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data

    connection.text_factory = decoded


def lenient(connection: Any, _: object = None) -> None:
    """Let psycopg give a time outside Python's range (years 1 to 9999) as its text: the row that
    holds it is refused, and not the page."""
    for name, loader in _LENIENT.items():
        connection.adapters.register_loader(name, loader)


def _lenient(strict: type[Loader]) -> type[Loader]:
    class Lenient(strict):  # type: ignore[misc, valid-type]
        def load(self, data: Any) -> Any:
            try:
                return super().load(data)
            except psycopg.DataError:
                return bytes(data).decode("utf-8", "replace")

    return Lenient


_LENIENT = {
    "date": _lenient(DateLoader),
    "timestamp": _lenient(TimestampLoader),
    "timestamptz": _lenient(TimestamptzLoader),
}


def joined(relation: sa.FromClause, names: Sequence[str]) -> sa.FromClause:
    """The relation with one more column, named like `tenant:id`: the parts of its key as a text,
    with a colon between them. A colon or backslash within a part has a backslash before it, so
    that no two keys read alike. NULL where a part is."""
    parts = [_escaped(relation.c[name]) for name in names]
    whole: ColumnElement[str] = parts[0]
    for part in parts[1:]:
        whole = whole.concat(":").concat(part)
    return sa.select(relation, whole.label(":".join(names))).subquery("keyed")


def _escaped(part: ColumnElement[Any]) -> ColumnElement[str]:
    text: ColumnElement[str] = sa.cast(part, sa.String)
    for mark in ("\\", ":"):
        text = sa.func.replace(text, mark, f"\\{mark}", type_=sa.String())
    return text


def beyond(key: Sequence[Any], after: Sequence[Any], dialect: str) -> Any:
    """Rows behind `after` in the order of `key`; a second part of None: at or after the first."""
    if len(key) == 1:
        return key[0] > after[0]
    if after[1] is None:
        return key[0] >= after[0]
    if dialect in _TUPLE_DIALECTS:
        bound = (sa.bindparam(None, v, c.type) for c, v in zip(key, after, strict=True))
        return sa.tuple_(*key) > sa.tuple_(*bound)
    return sa.or_(key[0] > after[0], sa.and_(key[0] == after[0], key[1] > after[1]))


def minus(value: Any, overlap: timedelta | float | None) -> Any:
    """A cursor value, an overlap earlier. Raises ConfigurationError where that has no meaning."""
    if isinstance(value, datetime | date):
        step = overlap if overlap is not None else DEFAULT_OVERLAP
        if not isinstance(step, timedelta):
            step = timedelta(seconds=step)
        if not isinstance(value, datetime):
            step = max(step, timedelta(days=1))  # a date knows nothing smaller
        try:
            return value - step
        except OverflowError:  # from the beginning of all
            if isinstance(value, datetime):
                return datetime.min.replace(tzinfo=value.tzinfo)
            return date.min
    step = overlap if overlap is not None else DEFAULT_OVERLAP_NUMBER
    if isinstance(step, timedelta):
        raise ConfigurationError(
            "The cursor holds numbers, and the overlap is a duration.",
            hint="Write the overlap as a number: overlap = 1000.",
        )
    if isinstance(value, int):
        return value - int(step)
    if isinstance(value, float):
        return value - float(step)
    if isinstance(value, Decimal):
        return value - Decimal(str(step))
    raise ConfigurationError(
        f"The cursor's column holds values of type {type(value).__name__}: none of them is a"
        " number or a time, so a run could not begin a little earlier than the last one ended.",
        hint="Name a column of numbers or times as cursor.",
    )


def dumps(values: Sequence[Any] | None) -> list[Any]:
    """Key values as JSON that keeps their type."""
    return [_dump(value) for value in values or ()]


def _dump(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, UUID):
        return {"uuid": str(value)}
    return value if isinstance(value, int | str | float) else str(value)


def loads(values: Sequence[Any]) -> list[Any]:
    """What `dumps` made of key values."""
    return [_load(value) for value in values]


def _load(value: Any) -> Any:
    match value:
        case {"time": str(text)}:
            return datetime.fromisoformat(text)
        case {"date": str(text)}:
            return date.fromisoformat(text)
        case {"decimal": str(text)}:
            return Decimal(text)
        case {"uuid": str(text)}:
            return UUID(text)
        case _:
            return value


def with_zones(row: Mapping[str, Any], in_utc: Sequence[str]) -> Mapping[str, Any]:
    """A row with its times in UTC where the database says that they are (`in_utc`)."""
    found = {
        name: row[name].replace(tzinfo=UTC)
        for name in in_utc
        if isinstance(row.get(name), datetime)
    }
    return {**row, **found} if found else row


def as_read(column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    """SQLite keeps times as texts: one that is no time is that row's fault alone."""
    if dialect == "sqlite" and isinstance(column.type, sa.Date | sa.DateTime):
        return sa.type_coerce(column, sa.String).label(column.name)
    return column
