"""As an analyst would: filter, export, correct, count by day, from the shell and from Python."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from tests.acceptance.command import Shell
from tests.acceptance.stored import as_analyst
from tests.rollups import WRONG_DAYS
from tests.scripted_lambda import ScriptedLambda
from worker import analysis, export
from worker.cli.sql import numbered
from worker.errors import ConfigurationError, DatabaseUnavailable, Misasked
from worker.store import database

FORMULA = '=HYPERLINK("http://example.org","a good day")'


@pytest.fixture
def desk(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    """Six reviews of two products on three days; one looks like a formula, one has no text."""
    (tmp_path / "reviews.csv").write_text(
        "id,text,time,product\n"
        "1,a good day,2026-01-01T10:00:00Z,tea\n"
        "2,a bad refund,2026-01-01T11:00:00Z,tea\n"
        "3,a bad night without refunds,2026-01-02T10:00:00Z,coffee\n"
        f'4,"{FORMULA.replace(chr(34), chr(34) * 2)}",2026-01-02T11:00:00Z,coffee\n'
        "5,plain,2026-01-03T10:00:00Z,tea\n"
        "6,,2026-01-03T11:00:00Z,tea\n",
        encoding="utf-8",
    )
    (tmp_path / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "reviews"\nkind = "file"\npath = "reviews.csv"\ntags = ["product"]\n'
    )
    shell = Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
    )
    assert shell("once").code == 0
    return shell


def ids(desk: Shell, *arguments: object) -> list[str]:
    done = desk("scores", *arguments, "--output", "json")
    assert done.code == 0, done.err
    return sorted(row["external_id"] for row in done.data)


def test_filters(desk: Shell) -> None:
    assert ids(desk) == ["1", "2", "3", "4", "5", "6"]
    assert ids(desk, "--matches", "refund") == ["2", "3"], "English: a refund, refunds"
    assert ids(desk, "--matches", "refund -night") == ["2"]
    assert ids(desk, "--contains", "refunds") == ["3"]
    assert ids(desk, "--min-polarity", "0.5") == ["1", "4"]
    assert ids(desk, "--max-polarity", "-0.5", "--since", "2026-01-02") == ["3"]
    assert ids(desk, "--scorer", "textblob") == []
    assert desk("scores", "--scorer", "somebody").code == 2
    assert desk("scores", "--min-polarity", "7").code == 2


def test_exports(desk: Shell) -> None:
    for ending in (".csv", ".jsonl", ".parquet", ".xlsx"):
        done = desk("scores", "--order", "oldest", "--export", f"out{ending}")
        assert done.code == 0, done.err
        assert "6 rows" in done.err
    with open(desk.folder / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["external_id"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert rows[3]["text"] == FORMULA, "exact, for programs"
    exact = desk("scores", "--order", "oldest", "--export", "out.csv")
    assert "1 cell begins like a formula" in exact.err
    assert "--for-spreadsheet" in exact.err
    harmless = desk("scores", "--order", "oldest", "--export", "sheet.csv", "--for-spreadsheet")
    assert "formula" not in harmless.err
    with open(desk.folder / "sheet.csv", encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert cells[3]["text"] == f"'{FORMULA}", "a spreadsheet shows it and runs nothing"
    assert [r["polarity"] for r in cells] == [r["polarity"] for r in rows]
    assert desk("scores", "--export", "out.jsonl", "--for-spreadsheet").code == 2
    assert rows[1]["polarity"] == "-0.7", "a number stays a number"
    lines = (desk.folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[3])["text"] == FORMULA
    assert json.loads(lines[0])["tags"] == {"product": "tea"}
    table = pq.read_table(desk.folder / "out.parquet")
    assert table.column("published_at")[0].as_py() == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert table.column("overridden_at").null_count == 6
    with zipfile.ZipFile(desk.folder / "out.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in sheet
        assert "HYPERLINK" in sheet


def test_an_export_is_whole_or_not_there(desk: Shell) -> None:
    refused = desk("scores", "--export", "out.docx")
    assert refused.code == 2
    assert ".xlsx" in refused.err
    assert desk("scores", "--export", "no/such/folder/out.csv").code == 2


@pytest.mark.parametrize("ending", export.FORMATS)
def test_an_export_that_breaks_off_leaves_what_was_there(tmp_path: Path, ending: str) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"id": 1, "text": "a"}
        raise DatabaseUnavailable("gone")

    path = tmp_path / f"out{ending}"
    path.write_text("before")
    with pytest.raises(DatabaseUnavailable):
        export.save(rows(), {"id": int, "text": str}, path, export.writer_for(path))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    # No row at all is a file too, with its columns.
    assert export.save([], {"id": int, "text": str}, path, export.writer_for(path)) == 0
    if ending == ".parquet":
        assert pq.read_schema(path).names == ["id", "text"]
    if ending == ".csv":
        assert path.read_text() == "id,text\n" or path.read_bytes() == b"id,text\r\n"


def test_searching_with_and_without_its_index(desk: Shell, engine: Engine) -> None:
    found = ids(desk, "--source", "reviews", "--matches", "refund")
    for _ in range(2):
        assert desk("db", "search", "on").code == 0
    index = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'sentiment.record_words'::regclass"
    assert [tuple(row) for row in _rows(engine, index)] == [(True,)]
    assert ids(desk, "--source", "reviews", "--matches", "refund") == found == ["2", "3"]
    assert desk("db", "search", "off").code == 0
    assert not _rows(engine, "SELECT to_regclass('sentiment.record_words') AS i")[0].i
    assert desk("db", "search", "maybe").code == 2


def test_a_person_corrects_the_machine_and_takes_it_back(desk: Shell, engine: Engine) -> None:
    said = desk("override", "set", "reviews", "1", "negative", "--why", "sarcasm")
    assert said.code == 0, said.err
    (row,) = [r for r in desk("scores", "-o", "json").data if r["external_id"] == "1"]
    assert (row["label"], row["polarity"], row["scorer"]) == ("negative", -1.0, "person")
    assert (row["machine_label"], row["machine_polarity"]) == ("positive", 0.85)
    assert (row["override_why"], row["provisional"]) == ("sarcasm", False)
    assert desk("override", "set", "reviews", "2", "negative", "--why", "so it is").code == 0
    (agreed,) = desk("override", "agreement", "--output", "json").data
    assert (agreed["judged"], agreed["same_label"]) == (2, 1)
    assert agreed["agreement"] == pytest.approx(0.5)
    days = {row.day: row for row in _rows(engine, "SELECT * FROM analytics.daily_sentiment")}
    assert [day.overridden for _, day in sorted(days.items())] == [2, 0, 0]
    assert not _rows(engine, WRONG_DAYS)
    assert desk("override", "withdraw", "reviews", "1", "--why", "it was meant").code == 0
    assert desk("scores", "--label", "positive", "-o", "json").data[-1]["external_id"] == "1"
    listed = desk("override", "list", "--output", "json").data
    assert [(r["label"], r["in_force"]) for r in listed] == [
        (None, False), ("negative", True), ("negative", False),
    ]  # fmt: skip
    assert not _rows(engine, WRONG_DAYS)
    # A text that is rewritten at the source is the machine's again.
    rewritten = (desk.folder / "reviews.csv").read_text().replace("bad refund", "good refund")
    (desk.folder / "reviews.csv").write_text(rewritten)
    assert desk("once").code == 0
    assert ids(desk, "--scorer", "person") == []
    assert not _rows(engine, WRONG_DAYS)
    for wrong in (["reviews", "1", "furious"], ["reviews", "99", "positive"]):
        assert desk("override", "set", *wrong, "--why", "x").code == 2


def test_days_and_tags(desk: Shell, engine: Engine) -> None:
    by_tag = _rows(
        engine,
        "SELECT day::text, value, records, positive, negative, unscored"
        " FROM analytics.daily_by_tag WHERE tag = 'product' ORDER BY day, value",
    )
    assert [list(row) for row in by_tag] == [
        ["2026-01-01", "tea", 2, 1, 1, 0],
        ["2026-01-02", "coffee", 2, 1, 1, 0],
        ["2026-01-03", "tea", 2, 0, 0, 1],
    ]
    assert not _rows(engine, WRONG_DAYS)


def test_what_its_owner_deletes_is_out_of_the_days(desk: Shell, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM sentiment.record WHERE external_id = '1'"))
        connection.execute(sa.text("DELETE FROM sentiment.score WHERE label = 'neutral'"))
    assert _rows(engine, WRONG_DAYS), "until a run ends"
    assert desk("once").code == 0
    assert not _rows(engine, WRONG_DAYS)


def test_from_python(desk: Shell, database_url: str) -> None:
    with analysis.connect(database_url) as sentiment:
        frame = sentiment.scores(order="oldest")
        assert list(frame["external_id"]) == ["1", "2", "3", "4", "5", "6"]
        assert str(frame["published_at"].dtype) == "datetime64[us, UTC]"
        assert str(frame["polarity"].dtype) == "float64"
        assert str(frame["provisional"].dtype) == "boolean"
        nothing = sentiment.scores(source="reviews", since="2030-01-01")
        assert nothing.empty
        assert (nothing.dtypes == frame.dtypes).all(), "an empty answer has the same types"
        parts = list(sentiment.scores_in_parts(rows=4, order="oldest"))
        assert [len(part) for part in parts] == [4, 2]
        assert pd.concat(parts)["text"].tolist() == frame["text"].tolist()
        daily = sentiment.daily(source="reviews", until="2026-01-03")
        assert daily["records"].tolist() == [2, 2]
        assert daily["day"].dtype == "datetime64[s]"
        assert sentiment.by_tag("product")["value"].tolist() == ["coffee", "tea", "tea"]
        assert sentiment.runs()["state"].tolist() == ["done"]
        assert sentiment.overrides().empty
        with pytest.raises(ConfigurationError, match="superuser, or may become one"):
            sentiment.sql("SELECT 1")
        with pytest.raises(ConfigurationError, match="No source is named"):
            sentiment.scores(source="reviws")
        with pytest.raises(ConfigurationError, match="order"):
            sentiment.scores(order="oddest")
    url = as_analyst(desk).variables["DATABASE_URL"]
    with analysis.connect(url) as sentiment:
        counted = sentiment.sql(
            "SELECT count(*) AS n FROM analytics.current_sentiment WHERE label = :label",
            label="positive",
        )
        assert counted["n"].tolist() == [2]
        with pytest.raises(Misasked, match="syntax error"):
            sentiment.sql("DELETE FROM sentiment.score")
    with (
        analysis.connect(url, timeout_s=0.2) as sentiment,
        pytest.raises(ConfigurationError, match=r"took longer than its limit of 0\.2 s"),
    ):
        sentiment.sql("SELECT pg_sleep(5)")


def test_an_analysts_login_sees_what_it_may_and_no_more(desk: Shell, database_url: str) -> None:
    with psycopg.connect(_plain(database_url), autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS ana")
        done = desk("db", "roles", "--analyst", "ana")
        assert done.code == 0, done.err
        assert "Made the login 'ana'" in done.err
        assert "connect with:  postgresql://ana@" in done.err
        assert '\\password "ana"' in done.err
        assert "The login 'ana'" in desk("db", "roles", "--analyst", "ana").err
        settings = admin.execute("SELECT rolconfig FROM pg_roles WHERE rolname = 'ana'").fetchone()
    assert settings == (["statement_timeout=30s", "default_transaction_read_only=on"],)
    url = database.normalise_url(database_url).set(username="ana")
    as_ana = Shell(desk.folder, DATABASE_URL=url.render_as_string(hide_password=False))
    done = as_ana("scores", "--source", "reviews", "--output", "json")
    assert done.code == 0, done.err
    assert len(done.data) == 6
    assert as_ana("report").code == 0
    assert as_ana("runs").code == 0
    refused = as_ana("override", "set", "reviews", "1", "positive", "--why", "x")
    assert refused.code == 2
    with psycopg.connect(_plain(as_ana.variables["DATABASE_URL"])) as ana:
        assert ana.execute("SHOW statement_timeout").fetchone() == ("30s",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ana.execute("SELECT * FROM sentiment.record")
    with psycopg.connect(_plain(database_url), autocommit=True) as admin:
        admin.execute("DROP OWNED BY ana")
        admin.execute("DROP ROLE ana")
        refused = desk("db", "roles", "--analyst", "postgres")
    assert refused.code == 2
    assert "login of their own" in refused.err


def _plain(url: str) -> str:
    plain = database.normalise_url(url).set(drivername="postgresql")
    return plain.render_as_string(hide_password=False)


def _rows(engine: Engine, sql: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text(sql)))


WAYS_OUT = (
    "SELECT 1; COMMIT; DELETE FROM sentiment.score",
    "SELECT 1; SELECT 2",
    "COMMIT",
    "RESET ROLE",
    "DO $$ BEGIN EXECUTE 'RESET ROLE'; END $$",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "WITH gone AS (DELETE FROM sentiment.score RETURNING 1) SELECT * FROM gone",
    "SELECT set_config('role', 'none', true), query_to_xml('TABLE sentiment.run', true, true, '')",
    "SELECT set_config('role', 'postgres', true), pg_read_file('PG_VERSION')",
    "EXPLAIN ANALYZE DELETE FROM sentiment.score",
)


@pytest.mark.parametrize("statement", WAYS_OUT)
def test_a_question_cannot_get_out(desk: Shell, database_url: str, statement: str) -> None:
    engine = database.make_engine(database_url, application="tests")
    before = _rows(engine, "SELECT count(*) FROM sentiment.score")
    analyst = as_analyst(desk)
    for refused in (analyst("sql", statement), desk("sql", statement)):
        assert refused.code == 2, refused.out
        assert "Traceback" not in refused.err
    if ";" in statement and "$$" not in statement:
        assert "Write one statement that reads" in analyst("sql", statement).err
    assert "is a superuser" in desk("sql", statement).err
    assert _rows(engine, "SELECT count(*) FROM sentiment.score") == before
    engine.dispose()


def test_columns_of_one_name_keep_their_numbers(desk: Shell) -> None:
    analyst = as_analyst(desk)
    question = "SELECT count(*), count(*) FILTER (WHERE label = 'positive') FROM"
    (row,) = analyst("sql", f"{question} analytics.current_sentiment", "-o", "json").data
    assert row["count"] > row["count_2"] == 2
    assert "Scan" in analyst("sql", "/* why */ EXPLAIN SELECT * FROM analytics.sources").out
    with analysis.connect(analyst.variables["DATABASE_URL"]) as sentiment:
        frame = sentiment.sql(f"{question} analytics.current_sentiment")
    assert frame.iloc[0].tolist() == [row["count"], row["count_2"]]


def test_names_that_repeat_are_told_apart_from_those_that_are_there() -> None:
    assert numbered(["n", "n_2", "n", "n"]) == ["n", "n_2", "n_3", "n_4"]
    assert numbered(["n", "n", "n_2"]) == ["n", "n_3", "n_2"]
    assert numbered(["a", "b"]) == ["a", "b"]


def test_who_may_become_a_superuser_is_one(desk: Shell, database_url: str) -> None:
    analyst = as_analyst(desk)
    with psycopg.connect(_plain(database_url), autocommit=True) as admin:
        admin.execute("GRANT pg_read_server_files TO asking")
        try:
            assert "may become one" in analyst("sql", "SELECT 1").err
        finally:
            admin.execute("REVOKE pg_read_server_files FROM asking")


def test_nor_can_one_to_the_embedded_database(tmp_path: Path) -> None:
    """Its own login is a superuser: questions have another."""
    shell = Shell(tmp_path, USE_LAMBDA_SENTIMENT="0")
    (tmp_path / "a.csv").write_text("id,text\n1,good\n")
    assert shell("once", "a.csv").code == 0
    assert "1" in shell("sql", "SELECT count(*) FROM analytics.records").out
    assert "sentiment_asker" in shell("sql", "SELECT session_user").out
    for statement in WAYS_OUT:
        refused = shell("sql", statement)
        assert refused.code == 2, statement
        assert "Traceback" not in refused.err


def test_sql_of_one_s_own_with_the_analyst_s_rights(desk: Shell) -> None:
    desk = as_analyst(desk)
    assert "Scan" in desk("sql", "EXPLAIN SELECT * FROM analytics.sources").out
    by_source = "SELECT source, sum(records) AS n FROM analytics.daily_sentiment GROUP BY 1"
    rows = desk("sql", by_source, "--output", "json")
    assert rows.code == 0, rows.err
    assert rows.data[0]["source"] == "reviews"
    assert "12:30" in desk("sql", "SELECT '12:30'::time AS t, ':x' AS name").out
    misspelt = desk("sql", "SELECT source, recods FROM analytics.daily_sentiment")
    assert misspelt.code == 2
    assert 'column "recods" does not exist (at character 16)' in misspelt.err
    assert "Perhaps you meant to reference" in misspelt.err
    assert "db upgrade" not in misspelt.err
    for wrong in ("SELECT * FROM sentiment.record", "DELETE FROM analytics.sources", "SELEKT", ""):
        refused = desk("sql", wrong)
        assert refused.code == 2, wrong
        assert "Traceback" not in refused.err
