"""What SQLite and MariaDB keep in a column that a cursor reads by."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog

from tests.integration.test_sql_source import Reader
from tests.servers.maria import Maria
from worker.errors import ConfigurationError
from worker.sources.rows.layout import Layout

LAYOUT = Layout(id="id", text="body", timezone=UTC)


class Table:
    """A SQLite file with one table, `review`, and a way to read what is new in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.insert([])

    def insert(self, times: Sequence[Any]) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as app, app:
            app.execute("CREATE TABLE IF NOT EXISTS review"
                        " (id INTEGER PRIMARY KEY, body TEXT, updated_at DATETIME)")  # fmt: skip
            app.executemany(
                "INSERT INTO review (body, updated_at) VALUES ('text', ?)", [(t,) for t in times]
            )

    def reader(self, cursor: str = "updated_at") -> Reader:
        url = f"sqlite:///{self.path}"
        return Reader(url, layout=LAYOUT, table="review", cursor=cursor, page_rows=10)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "app.db")


@pytest.mark.parametrize(
    "form", ["2026-01-01 10:00:00", "2026-01-01T10:00:00", "2026-01-01 10:00:00.5",
             "2026-01-01 10:00:00+00:00", "2026-01-01T10:00:00Z"],
)  # fmt: skip
def test_times_of_any_form_in_sqlite_are_read_to_the_last(table: Table, form: str) -> None:
    """CURRENT_TIMESTAMP writes no fraction; a bulk insert gives all its rows one time."""
    table.insert([form] * 35)
    (pages,) = [list(itertools.islice(table.reader().source.pages({}), 20))]
    assert len(pages) < 20, "it reads the same page again and again"
    assert {r.external_id for page in pages for r in page.records} == set(map(str, range(1, 36)))


@pytest.mark.parametrize(
    "value", ["yesterday", "", "now", "12:00", "2024-02-30 10:00", 1767261600, 2460000.5]
)
def test_a_cursor_that_is_no_time_in_sqlite_is_that_rows_fault(table: Table, value: Any) -> None:
    table.insert(["2026-01-01 10:00:00", value, "2026-01-01 12:00:00"])
    assert {"1", "3"} <= set(table.reader().read())


def test_a_cursor_of_dates_in_sqlite_goes_back_a_day(tmp_path: Path) -> None:
    """A date knows nothing smaller; a position of before 0014 is a date too."""
    path = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(path)) as app, app:
        app.execute("CREATE TABLE review (id INTEGER PRIMARY KEY, body TEXT, day DATE)")
        app.execute("INSERT INTO review VALUES (1, 'a', '2026-03-01')")
    reader = Reader(f"sqlite:///{path}", layout=LAYOUT, table="review", cursor="day")
    assert reader.read() == ["1"]
    assert reader.positions[""]["after"] == [{"date": "2026-03-01"}, 1]
    with contextlib.closing(sqlite3.connect(path)) as app, app:
        app.execute("INSERT INTO review VALUES (2, 'b', '2026-02-28')")
    assert reader.read() == ["2", "1"]


def test_a_text_that_is_not_utf8_in_sqlite_is_one_rows_fault(table: Table) -> None:
    table.insert(["2026-01-01 10:00:00"] * 3)
    with contextlib.closing(sqlite3.connect(table.path)) as app, app:
        app.execute("UPDATE review SET body = CAST(x'736563726574ff' AS TEXT) WHERE id = 2")
    assert {"1", "3"} <= set(table.reader("id").read())


def test_no_text_of_sqlite_is_in_an_error(table: Table) -> None:
    table.insert(["2026-01-01 10:00:00"] * 2)
    with contextlib.closing(sqlite3.connect(table.path)) as app, app:
        app.execute("UPDATE review SET body = CAST(x'736563726574ff' AS TEXT) WHERE id = 2")
    ((page,),) = [list(table.reader("id").source.pages({}))]
    (refused,) = page.refusals
    assert refused.reason
    assert "secret" not in refused.reason


def test_a_sqlite_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "typo.db"
    with pytest.raises(ConfigurationError):
        Reader(f"sqlite:///{path}", table="review", cursor="id").read()
    assert not path.exists()


@pytest.fixture(scope="module")
def maria() -> Iterator[Maria]:
    with Maria() as maria:
        yield maria


def _made(maria: Maria, columns: str) -> None:
    maria.run("SET GLOBAL sql_mode = ''")
    maria.run("DROP TABLE IF EXISTS review", f"CREATE TABLE review ({columns})")


def test_the_last_day_of_all_in_mariadb_is_no_cursor(maria: Maria) -> None:
    """Many write it for 'never': nothing would be new behind it."""
    _made(maria, "id int PRIMARY KEY, body text, updated_at datetime")
    maria.run("INSERT INTO review VALUES (1, 'a', '2026-01-01'), (2, 'b', '9999-12-31 23:59:59')")
    reader = Reader(maria.url, layout=LAYOUT, table="review", cursor="updated_at")
    reader.read()
    maria.run("INSERT INTO review VALUES (3, 'c', '2026-02-01')")
    assert "3" in reader.read()


def test_zero_dates_in_mariadb_are_warned_of(maria: Maria) -> None:
    _made(maria, "id int PRIMARY KEY, body text, updated_at datetime")
    maria.run("INSERT INTO review VALUES (1, 'a', '0000-00-00')")
    reader = Reader(maria.url, layout=LAYOUT, table="review", cursor="updated_at")
    with structlog.testing.capture_logs() as logs:
        assert reader.read() == []
    warned = [line for line in logs if line["event"] == "source.rows_without_cursor"]
    assert [line["column"] for line in warned] == ["updated_at"]
    maria.run("INSERT INTO review VALUES (2, 'b', '2026-01-01')")
    assert reader.read() == ["2"]


def test_a_cursor_of_mysql_that_was_kept_in_the_sessions_zone_is_refused_once(maria: Maria) -> None:
    """As before migration 0014: it is later, or earlier, than the rows that it stands for."""
    _made(maria, "id int PRIMARY KEY, body text, updated_at timestamp NULL")
    maria.run("INSERT INTO review VALUES (1, 'a', '2026-01-01')")
    reader = Reader(maria.url, layout=LAYOUT, table="review", cursor="updated_at")
    reader.read()
    reader.positions[""]["of"] |= {"type": "datetime"}
    with pytest.raises(ConfigurationError, match="in another place"):
        reader.read()


def test_an_hour_that_comes_twice_in_mariadb_is_read_twice(maria: Maria) -> None:
    """A TIMESTAMP is shown in the session's zone: after 02:59 comes 02:00 again."""
    # As offsets: the tables of zones are not needed.
    maria.run("SET GLOBAL time_zone = '+02:00'")
    _made(maria, "id int PRIMARY KEY, body text, updated_at timestamp NULL")
    layout = Layout(id="id", text="body", timezone=ZoneInfo("Europe/Berlin"))
    reader = Reader(maria.url, layout=layout, table="review", cursor="updated_at")
    maria.run("SET time_zone = '+00:00'", "INSERT INTO review VALUES (1, 'a', '2026-10-25 00:55')")
    assert reader.read() == ["1"]
    maria.run("SET GLOBAL time_zone = '+01:00'")  # the clocks are set back
    maria.run("SET time_zone = '+00:00'", "INSERT INTO review VALUES (2, 'b', '2026-10-25 01:05')")
    assert reader.read() == ["1", "2"]


def test_odd_values_in_mariadb(maria: Maria) -> None:
    _made(
        maria,
        "id bigint unsigned PRIMARY KEY, body text CHARACTER SET utf8mb4, old text CHARACTER SET"
        " latin1, flag bit(1), created_at datetime",
    )
    largest = 2**64 - 1
    maria.run(
        "INSERT INTO review VALUES"
        " (1, '\N{GRINNING FACE}', 'caf\u00e9 \u20ac', b'1', '2026-01-01'),"
        f" ({largest}, 'b', '', b'0', '0000-00-00')"
    )
    layout = Layout(id="id", text="body", time="created_at", tags=("flag", "old"), timezone=UTC)
    reader = Reader(maria.url, layout=layout, table="review", cursor="id", overlap=5)
    ((page,),) = [list(reader.source.pages({}))]
    (record,) = page.records
    assert (record.external_id, record.text) == ("1", "\N{GRINNING FACE}")
    assert record.tags == {"flag": "1", "old": "caf\u00e9 \u20ac"}
    (refused,) = page.refusals
    assert str(largest) in refused.offset
