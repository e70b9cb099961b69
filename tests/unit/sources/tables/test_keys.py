"""Keys of tables: kept as JSON, stepped back by an overlap, compared in SQL."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from worker.errors import ConfigurationError
from worker.sources.tables.keys import (
    DEFAULT_OVERLAP,
    DEFAULT_OVERLAP_NUMBER,
    beyond,
    dumps,
    joined,
    loads,
    minus,
    with_zones,
)

EAST = timezone(timedelta(hours=5, minutes=30))

values = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([UTC, EAST])),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
)


@given(st.lists(values, max_size=3))
def test_a_key_comes_back_from_json_with_its_types(key: list[Any]) -> None:
    back = loads(json.loads(json.dumps(dumps(key))))
    assert back == key
    assert list(map(type, back)) == list(map(type, key))
    zones = [v.utcoffset() for v in key if isinstance(v, datetime)]
    assert zones == [v.utcoffset() for v in back if isinstance(v, datetime)]


def test_a_decimal_keeps_its_digits() -> None:
    (back,) = loads(json.loads(json.dumps(dumps([Decimal("1.10000000000000000001")]))))
    assert str(back) == "1.10000000000000000001"


DAY, NOON = date(2026, 3, 1), datetime(2026, 3, 1, 12)


@pytest.mark.parametrize(
    ("value", "overlap", "earlier"),
    [
        (NOON, None, NOON - DEFAULT_OVERLAP),
        (NOON, 60, NOON - timedelta(minutes=1)),
        (NOON, timedelta(0), NOON),
        (DAY, timedelta(minutes=1), DAY - timedelta(days=1)),
        (DAY, timedelta(days=3), DAY - timedelta(days=3)),
        (datetime(1, 1, 1, tzinfo=UTC), None, datetime(1, 1, 1, tzinfo=UTC)),
        (date.min, None, date.min),
        (5_000, None, 5_000 - DEFAULT_OVERLAP_NUMBER),
        (5_000, 10.9, 4_990),
        (2**60, 1, 2**60 - 1),
        (1.5, 0.25, 1.25),
        (Decimal("1.1"), 0.1, Decimal("1.0")),
    ],
)
def test_an_overlap_steps_back_in_the_cursors_own_terms(
    value: Any, overlap: Any, earlier: Any
) -> None:
    found = minus(value, overlap)
    assert found == earlier
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "overlap"), [(5, timedelta(minutes=1)), ("text", None), (UUID(int=5), 10)]
)
def test_an_overlap_without_a_meaning_is_refused(value: Any, overlap: Any) -> None:
    with pytest.raises(ConfigurationError):
        minus(value, overlap)


def test_times_are_in_utc_only_where_the_database_says_so() -> None:
    row = {"id": 1, "at": NOON, "other": NOON, "text": "x"}
    assert with_zones(row, ["at", "text", "gone"]) == row | {"at": NOON.replace(tzinfo=UTC)}
    assert row["at"] is NOON


PAIRS = sa.table("pairs", sa.column("a", sa.Integer), sa.column("b", sa.Integer))
TENANTS = sa.table("tenants", sa.column("t", sa.String), sa.column("id", sa.String))


def rows(statement: sa.Select[Any], table: sa.TableClause, stored: list[tuple[Any, Any]]) -> Any:
    """What SQLite, in memory, makes of a condition."""
    one, other = (column.name for column in table.columns)
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {table.name} ({one}, {other})")
        if stored:
            connection.exec_driver_sql(f"INSERT INTO {table.name} VALUES (?, ?)", stored)
        found = [tuple(row) for row in connection.execute(statement)]
    engine.dispose()
    return found


small = st.integers(0, 3)


@given(st.lists(st.tuples(small, small), max_size=8), st.tuples(small, small))
def test_what_is_beyond_a_key_is_what_sorts_behind_it_in_every_dialect(
    stored: list[tuple[int, int]], after: tuple[int, int]
) -> None:
    for dialect in ("sqlite", "mssql"):
        condition = beyond([PAIRS.c.a, PAIRS.c.b], after, dialect)
        found = rows(sa.select(PAIRS).where(condition), PAIRS, stored)
        assert sorted(found) == sorted(pair for pair in stored if pair > after)


def test_a_key_without_a_second_part_begins_at_the_first() -> None:
    stored = [(1, 1), (2, 0), (3, 0)]
    at_two = beyond([PAIRS.c.a, PAIRS.c.b], (2, None), "sqlite")
    assert rows(sa.select(PAIRS).where(at_two), PAIRS, stored) == [(2, 0), (3, 0)]
    alone = beyond([PAIRS.c.a], (2,), "sqlite")
    assert rows(sa.select(PAIRS).where(alone), PAIRS, stored) == [(3, 0)]


part = st.text("a:", max_size=3)


@example({("a:", "b"), ("a", ":b")})
@given(st.sets(st.tuples(part, part), min_size=1, max_size=6))
def test_parts_of_a_key_are_never_taken_for_each_other(stored: set[tuple[str, str]]) -> None:
    keyed = joined(TENANTS, ["t", "id"])
    found = rows(sa.select(keyed.c["t:id"], keyed.c.t), TENANTS, sorted(stored))
    assert len({key for key, _ in found}) == len(stored)


def test_half_of_a_key_is_none() -> None:
    keyed = joined(TENANTS, ["t", "id"])
    assert rows(sa.select(keyed.c["t:id"], keyed.c.t), TENANTS, [("a", None)]) == [(None, "a")]
