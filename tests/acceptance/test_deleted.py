"""Rows that a database deletes: marked by a column, or missed by a scan."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.command import Shell
from tests.scripted_lambda import ScriptedLambda, aws_error, scored
from worker.store import database

SOURCE = """[[source]]
name = "reviews"
kind = "sql"
url = "sqlite:///{app}"
table = "review"
id = "id"
text = "body"
tags = ["product"]
"""


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    run(tmp_path, "CREATE TABLE review (id INTEGER PRIMARY KEY, body TEXT, product TEXT,"
                  " deleted_at TEXT, changed INTEGER)")  # fmt: skip
    for n in range(1, 51):
        run(tmp_path, f"INSERT INTO review VALUES ({n}, 'a good day {n}', 'lamp', NULL, {n})")
    configure(tmp_path, 'deleted = "deleted_at"\ncursor = "changed"\noverlap = 0\n')
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        LAMBDA_FUNCTION_NAME="scorer",
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
    )


def run(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "app.db")) as app, app:
        app.execute(statement)


def configure(folder: Path, more: str) -> None:
    text = SOURCE.format(app=folder / "app.db") + more
    (folder / "sentiment-worker.toml").write_text(text)


def ask(shell: Shell, sql: str) -> list[Any]:
    url = database.normalise_url(shell.variables["DATABASE_URL"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        return [row[0] for row in connection.execute(sql.encode()).fetchall()]


def counted(shell: Shell) -> int:
    """Current records: in `scores`, the roll-ups by day and by tag, `status` and a plan, alike."""
    found = {
        view: ask(shell, f"SELECT coalesce(sum(records), 0)::int FROM analytics.{view}")[0]
        for view in ("daily_sentiment", "daily_by_tag")
    }
    found["scores"] = len(shell("scores", "-n", 1000, "-o", "json").data)
    found["status"] = shell("status", "-o", "json").data[0]["records"]
    planned = shell("backfill", "plan", "--source", "reviews", "--dry-run", "-o", "json")
    found["plan"] = planned.data["records"]
    assert len(set(found.values())) == 1, found
    return int(found["scores"])


def gone(shell: Shell) -> list[str]:
    return ask(shell, "SELECT external_id FROM analytics.gone ORDER BY external_id")


def test_a_column_says_so(shell: Shell, scripted_lambda: ScriptedLambda) -> None:
    assert shell("once").code == 0
    assert counted(shell) == 50
    run(shell.folder, "UPDATE review SET deleted_at = '2026-03-01', changed = changed + 100"
                      " WHERE id IN (7, 8)")  # fmt: skip
    report = shell("once", "-o", "json").data[0]["counters"]
    assert report["changed"] == 2
    assert report["read"] == report["changed"] + report["unchanged"]
    assert counted(shell) == 48
    assert gone(shell) == ["7", "8"]
    assert ask(shell, "SELECT count(*) FROM analytics.scores") == [50], "what was said is kept"
    sent = len(scripted_lambda.texts_sent())
    run(shell.folder, "UPDATE review SET deleted_at = NULL, changed = 300 WHERE id = 7")
    assert shell("once").code == 0
    assert gone(shell) == ["8"]
    assert counted(shell) == 49
    assert len(scripted_lambda.texts_sent()) == sent, "it was scored before"


def test_what_is_gone_before_it_was_scored_is_not_sent(
    shell: Shell, scripted_lambda: ScriptedLambda
) -> None:
    """It comes back without a score, and gets one."""
    scripted_lambda.script = lambda request, n: aws_error(503, "ServiceException")
    assert shell("once", SENTIMENT_FALLBACK_POLICY="defer").code == 6
    run(shell.folder, "UPDATE review SET deleted_at = '1', changed = 200 WHERE id = 9")
    assert shell("once", SENTIMENT_FALLBACK_POLICY="defer").code == 6
    scripted_lambda.script = lambda request, n: scored(request)
    scripted_lambda.requests.clear()
    assert shell("once").code == 0
    assert counted(shell) == 49
    assert "a good day 8" in scripted_lambda.texts_sent()
    assert "a good day 9" not in scripted_lambda.texts_sent()
    run(shell.folder, "UPDATE review SET deleted_at = 'false', changed = 300 WHERE id = 9")
    assert shell("once").code == 0
    assert counted(shell) == 50
    assert scripted_lambda.texts_sent().count("a good day 9") == 1


def test_a_scan_finds_what_is_missing(shell: Shell) -> None:
    configure(shell.folder, 'cursor = "changed"\ndeletes = "scan"\n')
    assert shell("once").code == 0
    run(shell.folder, "DELETE FROM review WHERE id BETWEEN 11 AND 15")
    done = shell("sources", "scan", "reviews")
    assert done.code == 0, done.err
    assert "5 records were marked as gone or as back; 45 are as they were" in done.err
    assert counted(shell) == 45
    assert gone(shell) == ["11", "12", "13", "14", "15"]
    run(shell.folder, "INSERT INTO review VALUES (12, 'a good day 12', 'lamp', NULL, 12)")
    back = shell("sources", "scan", "reviews")
    assert "1 record was marked as gone or as back" in back.err, "its cursor's value is an old one"
    assert gone(shell) == ["11", "13", "14", "15"]
    assert counted(shell) == 46


def test_a_scan_scores_nothing(shell: Shell, scripted_lambda: ScriptedLambda) -> None:
    """Not by TextBlob either: what waits for the model goes on waiting. What comes back without a
    score waits too."""
    configure(shell.folder, 'cursor = "changed"\ndeletes = "scan"\n')
    scripted_lambda.script = lambda request, n: aws_error(503, "ServiceException")
    assert shell("once", SENTIMENT_FALLBACK_POLICY="defer").code == 6
    scripted_lambda.script = lambda request, n: scored(request)
    run(shell.folder, "DELETE FROM review WHERE id = 50")
    assert shell("sources", "scan", "reviews").code == 0
    run(shell.folder, "INSERT INTO review VALUES (50, 'a good day 50', 'lamp', NULL, 50)")
    assert shell("sources", "scan", "reviews").code == 0
    assert ask(shell, "SELECT count(*) FROM sentiment.score") == [0]
    assert shell("once").code == 0
    assert ask(shell, "SELECT count(*) FROM sentiment.score") == [50]


def test_too_many_at_once_are_taken_for_an_error(shell: Shell) -> None:
    assert shell("once").code == 0
    run(shell.folder, "DELETE FROM review WHERE id > 5")
    done = shell("sources", "scan", "reviews")
    assert done.code == 1
    assert "45 of 50 records would be gone at once, more than 20%; none was marked" in done.err
    assert gone(shell) == []
    assert shell("sources", "scan", "reviews", "--at-most", "1").code == 0
    assert len(gone(shell)) == 45


def test_a_status_is_no_deletion(shell: Shell) -> None:
    run(shell.folder, "UPDATE review SET deleted_at = 'active'")
    done = shell("once")
    assert done.code == 2
    assert "neither a time nor true or false" in done.err
    assert "active" not in done.err


def test_a_source_that_cannot_say(shell: Shell) -> None:
    (shell.folder / "a.csv").write_text("id,text\n1,a\n")
    (shell.folder / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "files"\nkind = "file"\npath = "a.csv"\n'
    )
    done = shell("sources", "scan", "files")
    assert done.code == 2
    assert "cannot list its ids" in done.err


def test_serve_scans_at_its_own_times(shell: Shell) -> None:
    configure(shell.folder, 'cursor = "changed"\ndeletes = "scan"\ndeletes_every = "2s"\n')
    assert shell("once").code == 0
    run(shell.folder, "DELETE FROM review WHERE id = 11")
    with shell.started("serve") as process:
        deadline = time.monotonic() + 60
        while gone(shell) != ["11"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.terminate()
        assert process.wait(20) == 0
    assert gone(shell) == ["11"]
    assert counted(shell) == 49
