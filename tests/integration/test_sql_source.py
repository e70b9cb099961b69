"""Databases as a source: what is new, in which order, and what a late commit does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from worker.errors import ConfigurationError, SourceUnavailable
from worker.sources.rows.layout import Layout
from worker.sources.tables.engines import SqlTarget
from worker.sources.tables.source import SqlSource
from worker.store import database

LAYOUT = Layout(id="id", text="body", time="created_at")


class Reader:
    """Reads again and again, keeping the cursor as the journal would."""

    def __init__(self, url: str, *, layout: Layout = LAYOUT, **target: Any) -> None:
        self.source = SqlSource("s", SqlTarget(url, **target), layout)
        self.positions: dict[str, Any] = {}

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


def test_what_rows_wait_for_is_said(app: Engine, server_url: str) -> None:
    """A transaction of another database of the cluster will do."""
    reader = Reader(url_of(app), table="review", cursor="xid")
    elsewhere = database.make_engine(server_url, application="a nightly report")
    with elsewhere.connect() as late:
        late.execute(sa.text("SELECT pg_current_xact_id(), pg_sleep(1.1)"))
        assert reader.read() == []
        assert not reader.source.remark, "nothing waits"
        fill(app, 1)
        assert reader.read() == []
        remark = reader.source.remark
        assert remark is not None
        assert (remark.waiting_s or 0) > 1
        who = f"database {elsewhere.url.database}, a nightly report, idle in transaction"
        assert re.search(rf"{who}\), open for \d+ s", remark.what)
    elsewhere.dispose()
    assert reader.read() == ["1"]
    assert not reader.source.remark


def test_a_login_that_may_not_see_what_rows_wait_for_is_told_how_to(app: Engine) -> None:
    run(app, "CREATE ROLE reader LOGIN")
    run(app, "GRANT SELECT ON review TO reader")
    try:
        url = app.url.set(username="reader").render_as_string(hide_password=False)
        reader = Reader(url, table="review", cursor="xid")
        with app.connect() as late:
            insert(late, "late")
            fill(app, 1)
            assert reader.read() == []
            assert reader.source.remark is not None
            assert "GRANT pg_monitor" in reader.source.remark.what
    finally:
        run(app, "DROP OWNED BY reader")
        run(app, "DROP ROLE reader")


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


def test_pages_follow_the_key_through_ties(app: Engine) -> None:
    with app.begin() as connection:
        insert(connection, *(f"text {n}" for n in range(50)))
        connection.execute(sa.text("UPDATE review SET updated_at = '2026-01-01+00'"))
    for cursor in ("updated_at", "xid"):
        reader = Reader(url_of(app), table="review", cursor=cursor, page_rows=7)
        assert reader.read() == [str(n) for n in range(1, 51)]


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


def fill(app: Engine, count: int) -> None:
    with app.begin() as connection:
        insert(connection, *(f"text {n}" for n in range(count)))


def run(app: Engine, statement: str) -> None:
    with app.begin() as connection:
        connection.execute(sa.text(statement))


def test_a_cursor_is_a_position_in_one_table_of_one_database(app: Engine) -> None:
    fill(app, 30)
    run(app, "CREATE TABLE other (LIKE review INCLUDING ALL)")
    for table, cursor in (("other", "id"), ("review", "xid"), ("review", "updated_at")):
        reader = Reader(url_of(app), table="review", cursor="id")
        assert len(reader.read()) == 30
        later = Reader(url_of(app), table=table, cursor=cursor)
        later.positions = reader.positions
        with pytest.raises(ConfigurationError, match="position in another place") as refused:
            later.read()
        assert "state rewind s --beginning --why moved" in refused.value.hint
        later.positions = {}
        later.read()


def test_a_cursor_of_another_cluster_is_refused(app: Engine) -> None:
    """A dump in a new cluster: its transaction ids begin anew."""
    fill(app, 3)
    reader = Reader(url_of(app), table="review", cursor="xid")
    assert len(reader.read()) == 3
    here = dict(reader.positions[""]["of"])
    assert None not in (here["system"], here["timeline"]), "PostgreSQL tells it"
    reader.positions[""] |= {"of": here | {"system": "1"}}
    with pytest.raises(ConfigurationError, match="the PostgreSQL cluster was '1'"):
        reader.read()
    # Where nothing is known of the cluster, its transaction ids tell.
    reader.positions[""] = {k: v for k, v in reader.positions[""].items() if k != "of"} | {
        "after": ["99999999999", 3]
    }
    with pytest.raises(ConfigurationError, match="or it is another table, or another"):
        reader.read()


def test_another_host_name_of_the_same_cluster_is_the_same_place(app: Engine) -> None:
    fill(app, 3)
    reader = Reader(url_of(app), table="review", cursor="xid")
    reader.read()
    here = reader.positions[""]["of"]
    name = here["database"].rsplit("/", 1)[-1]
    reader.positions[""]["of"] = here | {"database": f"postgresql+psycopg://elsewhere/{name}"}
    fill(app, 2)
    assert len(reader.read()) == 2


def test_a_standby_that_took_over_is_read_whole(app: Engine) -> None:
    """It may give out again the transaction ids of what never reached it."""
    fill(app, 3)
    reader = Reader(url_of(app), table="review", cursor="xid")
    reader.read()
    reader.positions[""]["of"] |= {"timeline": 0}
    reader.positions[""]["after"] = ["99999999999", 3]  # of what never reached the standby
    assert len(reader.read()) == 3
    assert reader.read() == []


def test_a_replica_that_lags_behind_is_waited_for(app: Engine) -> None:
    fill(app, 3)
    reader = Reader(url_of(app), table="review", cursor="xid")
    reader.read()
    reader.positions[""]["after"] = ["99999999999", 3]
    assert reader.read() == []


def test_a_cursor_beyond_its_table_is_refused_and_an_emptied_one_begins_anew(app: Engine) -> None:
    fill(app, 30)
    reader = Reader(url_of(app), table="review", cursor="id", overlap=5)
    assert len(reader.read()) == 30
    run(app, "DELETE FROM review WHERE id = 30")
    assert len(reader.read()) == 5, "what was deleted within the overlap is ordinary"
    run(app, "DELETE FROM review WHERE id > 10")
    with pytest.raises(ConfigurationError, match="was read up to 25, and now ends at 10"):
        reader.read()
    run(app, "TRUNCATE review RESTART IDENTITY")
    assert reader.read() == []
    fill(app, 12)
    assert len(reader.read()) == 12, "they count from one again"


@pytest.mark.parametrize("cursor", ["body", "key"])
def test_a_cursor_without_an_order_of_time_is_refused_before_a_row(
    app: Engine, cursor: str
) -> None:
    run(app, "ALTER TABLE review ADD key uuid DEFAULT gen_random_uuid()")
    fill(app, 3)
    with pytest.raises(ConfigurationError, match="none of them is a number or a time"):
        Reader(url_of(app), table="review", cursor=cursor).read()


def test_rows_without_an_id_are_refused_one_by_one(app: Engine) -> None:
    """At the end of a page, too, where a NULL was taken for a key."""
    run(app, "CREATE TABLE loose (id bigint, body text, created_at timestamptz, seq bigint)")
    run(app, "INSERT INTO loose SELECT CASE WHEN n % 10 > 0 THEN n END, 'text', now(), n"
             " FROM generate_series(1, 95) n")  # fmt: skip
    for cursor in (None, "seq"):
        target = SqlTarget(url_of(app), table="loose", cursor=cursor, page_rows=10)
        pages = list(SqlSource("s", target, LAYOUT).pages({}))
        found = {record.external_id for page in pages for record in page.records}
        refused = [refusal for page in pages for refusal in page.refusals]
        assert len(found) == 86
        assert len(refused) == 9
        assert refused[0].reason == "no usable id in 'id'"


def test_half_of_a_composite_key_is_no_id(app: Engine) -> None:
    run(app, "CREATE TABLE parts (tenant text, id int, body text, created_at timestamptz,"
             " PRIMARY KEY (tenant, id))")  # fmt: skip
    run(app, "INSERT INTO parts SELECT t, n, 'text', now()"
             " FROM generate_series(1, 10) n, unnest(ARRAY['a', 'b', 'c']) t")  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"its key is .tenant, id.") as refused:
        Reader(url_of(app), table="parts").read()
    assert 'id = ["tenant", "id"]' in refused.value.hint
    layout = Layout(id="tenant:id", text="body", time="created_at")
    reader = Reader(url_of(app), layout=layout, table="parts", key=("tenant", "id"))
    found = reader.read()
    assert len(found) == len(set(found)) == 30
    assert {"a:1", "c:10"} <= set(found)
    query = "SELECT * FROM parts WHERE tenant = 'a'"
    of_a_query = Reader(url_of(app), layout=layout, query=query, key=("tenant", "id"))
    assert len(of_a_query.read()) == 10


def test_parts_of_a_key_are_never_taken_for_each_other(app: Engine) -> None:
    run(app, "CREATE TABLE parts (tenant text, id text, body text)")
    run(app, "INSERT INTO parts VALUES ('a:b', 'c', 'x'), ('a', 'b:c', 'y'), (NULL, 'z', 'w')")
    layout = Layout(id="tenant:id", text="body")
    reader = Reader(url_of(app), layout=layout, table="parts", key=("tenant", "id"))
    assert sorted(reader.read()) == ["a:b\\:c", "a\\:b:c"], "a row without a part is refused"
    run(app, "ALTER TABLE parts ADD row serial PRIMARY KEY")
    with pytest.raises(ConfigurationError, match=r"\(tenant, id\) is no key of parts"):
        reader.read()
    with pytest.raises(ConfigurationError, match="no column 'tenent'"):
        Reader(url_of(app), layout=layout, table="parts", key=("tenent", "id")).read()


def test_a_servers_message_does_not_bring_a_records_text(app: Engine) -> None:
    fill(app, 1)
    run(app, "UPDATE review SET body = 'a secret'")
    with pytest.raises(ConfigurationError) as refused:
        Reader(url_of(app), query="SELECT body::int AS id, body, created_at FROM review").read()
    assert "invalid input syntax" in str(refused.value)
    assert "secret" not in str(refused.value) + refused.value.hint


def test_a_time_that_python_has_not_is_one_rows_fault(app: Engine) -> None:
    fill(app, 5)
    run(app, "UPDATE review SET created_at = 'infinity' WHERE id = 2")
    run(app, "UPDATE review SET created_at = '0044-03-15 BC' WHERE id = 3")
    source = SqlSource("s", SqlTarget(url_of(app), table="review", cursor="id"), LAYOUT)
    (page,) = source.pages({})
    assert [record.external_id for record in page.records] == ["1", "4", "5"]
    assert len(page.refusals) == 2


def test_a_cluster_that_tells_no_more_is_not_taken_for_the_same(app: Engine) -> None:
    fill(app, 3)
    reader = Reader(url_of(app), table="review", cursor="xid")
    reader.read()
    here = reader.positions[""]["of"]
    run(app, "ALTER FUNCTION pg_catalog.pg_control_system() RENAME TO not_for_us")
    fill(app, 1)
    assert reader.read() == ["4"]
    assert reader.positions[""]["of"] == here, "it is compared again once it tells"
    reader.positions[""]["after"] = ["99999999999", 3]
    with pytest.raises(ConfigurationError, match="or it is another table, or another"):
        reader.read()


def test_a_cursor_that_changes_its_type_is_refused(app: Engine) -> None:
    run(app, "CREATE TABLE seen (id int PRIMARY KEY, body text, created_at timestamp)")
    run(app, "INSERT INTO seen VALUES (1, 'a', now())")
    reader = Reader(url_of(app), layout=Layout(id="id", text="body"), table="seen",
                    cursor="created_at")  # fmt: skip
    reader.source = SqlSource(
        "s", SqlTarget(url_of(app), table="seen", cursor="created_at"),
        Layout(id="id", text="body", timezone=UTC),
    )  # fmt: skip
    assert reader.read() == ["1"]
    run(app, "ALTER TABLE seen ALTER created_at TYPE timestamptz")
    with pytest.raises(ConfigurationError, match="cursor's type was 'datetime' and is 'datetime w"):
        reader.read()


@pytest.mark.parametrize(
    "value",
    [
        "'infinity'::timestamptz",
        "'12000-01-01'::timestamptz",
        "'NaN'::float8",
        "'Infinity'::float8",
        "'NaN'::numeric",
    ],
)
def test_nothing_is_behind_infinity_and_so_it_is_no_cursor(app: Engine, value: str) -> None:
    kind = value.rpartition("::")[2]
    run(app, f"CREATE TABLE seen (id int, body text, created_at timestamptz, at {kind})")
    usual = "now()" if kind == "timestamptz" else "1.5"
    run(app, f"INSERT INTO seen VALUES (1, 'a', now(), {usual}), (2, 'b', now(), {value})")
    by_table = Reader(url_of(app), table="seen", cursor="at", overlap=0.5)
    by_query = Reader(url_of(app), query="SELECT * FROM seen", cursor="at", overlap=0.5)
    for reader in (by_table, by_query):
        assert reader.read() == ["1"]
    later = "now()" if kind == "timestamptz" else "2.5"
    run(app, f"INSERT INTO seen VALUES (3, 'c', now(), {later})")
    for reader in (by_table, by_query):
        assert "3" in reader.read()


def test_a_text_that_is_no_time_in_sqlite_is_one_rows_fault(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    run(engine, "CREATE TABLE review (id INTEGER PRIMARY KEY, body TEXT, created_at DATETIME)")
    run(engine, "INSERT INTO review VALUES (1, 'a', '2026-01-01 10:00:00+00:00'),"
                " (2, 'b', 'yesterday'), (3, 'c', '2026-01-02 10:00:00+00:00')")  # fmt: skip
    source = SqlSource("s", SqlTarget(str(engine.url), table="review", cursor="id"), LAYOUT)
    (page,) = source.pages({})
    assert [record.external_id for record in page.records] == ["1", "3"]
    assert len(page.refusals) == 1
    engine.dispose()


def test_colons_and_a_comment_in_a_query_are_its_own(app: Engine) -> None:
    fill(app, 2)
    query = "SELECT id, ':foo' || body AS body, created_at::timestamptz FROM review -- ours"
    assert Reader(url_of(app), query=query, cursor="id").read() == ["1", "2"]
