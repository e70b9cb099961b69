"""Databases as a source: what is new, in which order, and what a late commit does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import ConfigurationError, SourceUnavailable
from worker.records import Layout, Position
from worker.sources import sql
from worker.sources.sql import SqlSource, SqlTarget
from worker.store import database

LAYOUT = Layout(id="id", text="body", time="created_at")


class Reader:
    """Reads again and again, keeping the cursor as the journal would."""

    def __init__(self, url: str, *, layout: Layout = LAYOUT, **target: Any) -> None:
        self.source = SqlSource("s", SqlTarget(url, **target), layout)
        self.positions: dict[str, Position] = {}

    def read(self) -> list[str]:
        found: list[str] = []
        for page in self.source.pages(self.positions):
            self.positions[page.partition] = json.loads(json.dumps(page.position))
            found += [record.external_id for record in page.records]
        return found


@pytest.fixture
def app(empty_database_url: str) -> Iterator[Engine]:
    engine = database.make_engine(empty_database_url, application="app")
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE review (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,"
                " body text, created_at timestamptz DEFAULT now(),"
                " updated_at timestamptz DEFAULT clock_timestamp(),"
                " xid xid8 DEFAULT pg_current_xact_id())"
            )
        )
    yield engine
    engine.dispose()


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def insert(connection: sa.Connection, *bodies: str) -> None:
    for body in bodies:
        connection.execute(sa.text("INSERT INTO review (body) VALUES (:body)"), {"body": body})


def test_xid8_never_passes_a_transaction_that_may_still_commit(app: Engine) -> None:
    reader = Reader(url_of(app), table="review", cursor="xid")
    with app.connect() as late:
        insert(late, "late")
        with app.begin() as quick:
            insert(quick, "quick")
        assert reader.read() == [], "id 2 is there, but id 1 may still come"
        late.commit()
    assert reader.read() == ["1", "2"]
    assert reader.read() == []
    with app.begin() as connection:
        insert(connection, "next")
    assert reader.read() == ["3"]


def test_an_xid8_is_a_number_where_it_grows_a_digit(app: Engine) -> None:
    reader = Reader(url_of(app), table="review", cursor="xid")
    for xid in ("99", "100", "101"):
        with app.begin() as connection:
            insert(connection, xid)
            connection.execute(
                sa.text("UPDATE review SET xid = CAST(:x AS xid8) WHERE body = :x"), {"x": xid}
            )
        assert len(reader.read()) == 1
    assert reader.read() == []


def test_a_query_may_have_an_xid8_too(app: Engine) -> None:
    with app.begin() as connection:
        insert(connection, "a", "b")
    query = "SELECT id, upper(body) AS body, created_at, xid FROM review;"
    reader = Reader(url_of(app), query=query, cursor="xid", tie_breaker="id")
    assert reader.read() == ["1", "2"]
    assert reader.read() == []


def test_an_overlap_finds_what_committed_late(app: Engine) -> None:
    reader = Reader(url_of(app), table="review", cursor="updated_at", overlap=timedelta(minutes=10))
    with app.connect() as late:
        insert(late, "late")
        with app.begin() as quick:
            insert(quick, "quick")
        assert reader.read() == ["2"]
        late.commit()
    assert reader.read() == ["1", "2"]


def test_a_number_as_cursor_with_a_numeric_overlap(app: Engine) -> None:
    with app.begin() as connection:
        insert(connection, *"abcdef")
    reader = Reader(url_of(app), table="review", cursor="id", overlap=2)
    assert reader.read() == list("123456")
    assert reader.read() == ["4", "5", "6"]


def test_pages_follow_the_key_through_ties(app: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "PAGE_ROWS", 7)
    with app.begin() as connection:
        insert(connection, *(f"text {n}" for n in range(50)))
        connection.execute(sa.text("UPDATE review SET updated_at = '2026-01-01+00'"))
    reader = Reader(url_of(app), table="review", cursor="updated_at")
    assert reader.read() == [str(n) for n in range(1, 51)]
    assert Reader(url_of(app), table="review", cursor="xid").read() == [
        str(n) for n in range(1, 51)
    ]


def test_without_a_cursor_everything_is_read_each_time(app: Engine) -> None:
    with app.begin() as connection:
        insert(connection, "a", "b")
    reader = Reader(url_of(app), table="public.review")
    assert reader.read() == reader.read() == ["1", "2"]


def test_another_database_than_postgresql(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE review (id INTEGER PRIMARY KEY, body TEXT)"))
        connection.execute(sa.text("INSERT INTO review VALUES (1, 'a'), (2, 'b')"))
    engine.dispose()
    reader = Reader(url, table="review", cursor="id", overlap=0, layout=Layout())
    assert reader.read() == ["1", "2"]
    assert reader.read() == ["2"], "an overlap of 0 still reads the last one again"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"table": "nope"}, "no table"),
        ({"table": "review", "cursor": "nope"}, "no column 'nope'"),
        ({"query": "SELECT nonsense FROM review"}, "refuses the query"),
    ],
)
def test_mistakes_are_sentences(app: Engine, target: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Reader(url_of(app), **target).read()


def test_a_database_that_is_away_is_no_mistake() -> None:
    reader = Reader("postgresql://u:canary@127.0.0.1:1/app?connect_timeout=2", table="review")
    with pytest.raises(SourceUnavailable) as raised:
        reader.read()
    assert "canary" not in str(raised.value)
