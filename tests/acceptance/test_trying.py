"""First contact: what a source would be, before it is one."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.command import Shell
from tests.scripted_lambda import ScriptedLambda
from tests.web_api import Said, WebApi
from worker.store import database

RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Shop</title>
<item><guid>1</guid><title>Late again</title><description>Two hours.</description></item>
</channel></rss>"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Without any database: none is needed."""
    return Shell(tmp_path, DATABASE_URL="postgresql://nobody:hush@127.0.0.1:1/none")


def block_in(out: str) -> dict[str, Any]:
    (found,) = tomllib.loads(out[out.index("[[source]]") :])["source"]
    return dict(found)


def test_a_file(shell: Shell) -> None:
    rows = "".join(f"{n},a good day {n % 30},2026-03-0{n % 9 + 1}T00:00:00Z\n" for n in range(40))
    (shell.folder / "reviews.csv").write_text(f"id,body,date\n{rows}7,again,\n99,,\n,no id,\n")
    done = shell("sources", "try", "reviews.csv")
    assert done.code == 0, done.err
    assert "id from 'id'; text from 'body'; time from 'date'" in done.err
    assert "Found 42 records." in done.err
    assert "1 row has the id of an earlier one" in done.err
    assert "1 row would go to quarantine; the first, line 44: no usable id in 'id'." in done.err
    assert "1 record has no text to score" in done.err
    assert "1 call" in done.err
    assert done.out.count("a good day") == 10
    assert block_in(done.out) == {
        "name": "reviews", "kind": "file", "id": "id", "text": "body", "path": "reviews.csv",
    }  # fmt: skip
    assert not (shell.folder / "home").exists(), "nothing was started or stored"
    data = shell("sources", "try", "reviews.csv", "-o", "json").data
    assert (data["records"], data["refused"], data["is_whole"]) == (42, 1, True)


def test_init_writes_what_once_then_reads(
    shell: Shell, database_url: str, scripted_lambda: ScriptedLambda
) -> None:
    (shell.folder / "a b.csv").write_text("id,text\n1,a good day\n")
    done = shell("init", "a b.csv", "--name", 'the "best"')
    assert done.code == 0, done.err
    written = (shell.folder / "sentiment-worker.toml").read_text()
    assert block_in(written)["name"] == 'the "best"'
    once = shell("once", DATABASE_URL=database_url, LAMBDA_FUNCTION_NAME="scorer",
                 AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url, AWS_REGION="local")  # fmt: skip
    assert once.code == 0, once.err
    assert "1 new" in once.err
    again = shell("init", "a b.csv")
    assert again.code == 2
    assert "already exists" in again.err
    assert (shell.folder / "sentiment-worker.toml").read_text() == written


def test_a_table(shell: Shell) -> None:
    with closing(sqlite3.connect(shell.folder / "app.db")) as app, app:
        app.execute("CREATE TABLE review (id INTEGER PRIMARY KEY, body TEXT, at INTEGER)")
        app.execute("CREATE TABLE other (x TEXT)")
        app.executemany(
            "INSERT INTO review VALUES (?, ?, ?)", [(n, f"text {n}", n) for n in (1, 2)]
        )
    several = shell("sources", "try", "sqlite:///app.db")
    assert several.code == 2
    assert "--table NAME. There are: other, review" in several.err
    done = shell("sources", "try", "sqlite:///app.db", "--table", "review")
    assert done.code == 0, done.err
    assert "Found 2 records" in done.err
    assert "no cursor: every run reads the whole table" in done.err
    found = block_in(done.out)
    assert (found["kind"], found["table"], found["text"]) == ("sql", "review", "body")


def test_a_password_is_not_printed(shell: Shell, empty_database_url: str) -> None:
    url = database.normalise_url(empty_database_url).set(drivername="postgresql", password="hush")
    given = url.render_as_string(hide_password=False)
    with psycopg.connect(given) as app:
        app.execute("CREATE TABLE review AS SELECT 1 AS id, 'a good day' AS text")
    done = shell("sources", "try", given, "--table", "review")
    assert done.code == 0, done.err
    assert block_in(done.out)["url"] == "env://SOURCE_DATABASE_URL"
    assert "hush" not in done.err + done.out
    away = shell("sources", "try", "postgresql://ana:hush@127.0.0.1:1/app", "--table", "review")
    assert away.code == 1
    assert "does not answer" in away.err
    assert "hush" not in away.err


def test_a_feed_and_a_json_api(shell: Shell) -> None:
    with WebApi(page_size=5) as api:
        private = ("--allow-private", "127.0.0.1")
        refused = shell("sources", "try", api.url("forum"))
        assert refused.code == 2
        assert "allow" in refused.err
        api.put({n: f"a good day {n}" for n in range(12)})
        done = shell("sources", "try", api.url("forum"), *private)
        assert done.code == 0, done.err
        found = block_in(done.out)
        assert (found["kind"], found["pagination"], found["id"]) == ("http", "link", "id")
        assert "Found 12 records" in done.err
        assert found["allow_private"] == ["127.0.0.1"]
        chain = shell("sources", "try", api.url("chain"), *private)
        assert block_in(chain.out)["records"] == "data"
        assert "Found 12 records" in chain.err
        api.hurdle = lambda asked, n: Said(200, RSS, {"content-type": "application/rss+xml"})
        feed = shell("sources", "try", api.url("latest.rss"), *private)
        assert feed.code == 0, feed.err
        assert block_in(feed.out)["kind"] == "feed"
        assert block_in(feed.out)["name"] == "latest"
        assert "Late again" in feed.out


@pytest.mark.parametrize(
    ("place", "code", "says"),
    [
        ("nothing.csv", 1, "There is no file"),
        ("nothing://x", 2, "driver"),
        ("a.doc", 2, "no kind"),
    ],
)
def test_what_is_no_source(shell: Shell, place: str, code: int, says: str) -> None:
    (shell.folder / "a.doc").write_text("x")
    done = shell("sources", "try", place)
    assert done.code == code
    assert says in done.err


def test_files_of_other_columns_are_left_to_find_their_own(shell: Shell) -> None:
    (shell.folder / "in").mkdir()
    (shell.folder / "in" / "a.csv").write_text("id,text\n1,a good day\n")
    (shell.folder / "in" / "b.csv").write_text("id,comment\n2,a bad day\n")
    found = block_in(shell("sources", "try", "in").out)
    assert found == {"name": "in", "kind": "file", "id": "id", "path": "in"}


def test_what_init_cannot_write_leaves_nothing(shell: Shell) -> None:
    (shell.folder / "a.csv").write_text("id,text\n1,a\n")
    done = shell("init", "a.csv", "--file", "no/such/folder.toml")
    assert done.code == 2
    assert "cannot be written" in done.err
    typo = shell("sources", "try", "sqlite:///typo.db", "--table", "review")
    assert typo.code == 2
    assert not (shell.folder / "typo.db").exists()
    secret = shell("sources", "try", "https://api.example.com/reviews?api_key=hush", "-o", "json")
    assert secret.code != 0
    assert "hush" not in secret.out
