"""Every kind of run, and every counter of each: what went in comes out, to the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Shell
from tests.scripted_lambda import Response, ScriptedLambda, aws_error, function_error, scored

INTAKE = ("new", "changed", "unchanged", "duplicate", "quarantined")
OUTCOME = ("scored", "superseded", "dead")
KINDS = {"once", "redrive", "retry", "backfill", "schedule", "drain"}
POISON = "a poisoned text"


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    (tmp_path / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "reviews"\nkind = "file"\npath = "*.csv"\nevery = "1h"\n'
    )
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        SENTIMENT_CHUNK_TEXTS="10",
        SENTIMENT_CIRCUIT_WINDOW="1s",
        SENTIMENT_MAX_ATTEMPTS="2",
        SENTIMENT_HTTP="off",
    )


def _runs(shell: Shell) -> list[dict[str, Any]]:
    listed = shell("runs", "--output", "json", "-n", 1000).data
    return [shell("runs", "show", row["id"], "--output", "json").data for row in listed]


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)


def _picky(request: dict[str, Any], _: int) -> Response:
    return function_error() if POISON in request["texts"] else scored(request)


def _down(request: dict[str, Any], _: int) -> Response:
    return aws_error(500, "ServiceException")


def _works(request: dict[str, Any], _: int) -> Response:
    return scored(request)


def _pending(shell: Shell) -> int:
    return sum(row["pending"] for row in shell("status", "--output", "json").data)


def _ended(shell: Shell) -> set[tuple[str, str]]:
    listed = shell("runs", "--output", "json", "-n", 5).data
    return {(row["trigger"], row["state"]) for row in listed}


def test_what_goes_in_comes_out(shell: Shell, scripted_lambda: ScriptedLambda) -> None:
    folder = shell.folder
    # Two texts, an id that comes twice, an empty text, a poisoned one, and a row that is none.
    (folder / "a.csv").write_text(
        f"id,text\n1,a good day\n2,a bad night\n2,a good night\n3,\n4,{POISON}\n5\n"
    )
    scripted_lambda.script = _picky
    assert shell("once").code == 5
    (folder / "a.csv").write_text(
        f"id,text\n1,a good day\n2,a good week\n3,\n4,{POISON}\n5,a good row\n"
    )
    scripted_lambda.script = _works
    assert shell("quarantine", "redrive", "--all").code == 0

    scripted_lambda.script = _down
    (folder / "b.csv").write_text("id,text\n" + "".join(f"b{n},a good {n}\n" for n in range(25)))
    done = shell("once", "--output", "json")
    assert done.code == 6
    scripted_lambda.script = _works
    assert shell("runs", "retry", done.data[0]["run_id"]).code == 0

    planned = shell("backfill", "plan", "--source", "reviews", "--output", "json").data
    assert shell("backfill", "apply", planned["id"]).code == 0

    scripted_lambda.script = _down
    (folder / "c.csv").write_text("id,text\n" + "".join(f"c{n},a bad {n}\n" for n in range(15)))
    with shell.started("serve") as serve:
        _wait_for(lambda: ("schedule", "degraded") in _ended(shell))
        scripted_lambda.script = _works
        _wait_for(lambda: _pending(shell) == 0)
        serve.terminate()
        assert serve.wait(30) == 0

    runs = _runs(shell)
    assert {run["trigger"] for run in runs} == KINDS
    for run in runs:
        assert run["read"] == sum(run[name] for name in INTAKE), run
        assert run["skipped"] <= run["new"] + run["changed"], run
        assert run["texts_sent"] >= 0
        assert (run["invocations"] > 0) >= (run["scored"] > 0), run
    # Of all runs together: what was taken in to be scored, once more by hand or by a backfill,
    # ended by the model, in quarantine, or as overtaken by a newer text.
    total = {name: sum(run[name] for run in runs) for name in (*INTAKE, *OUTCOME, "skipped")}
    taken_in = total["new"] + total["changed"] - total["skipped"]
    redriven, rescored = 1, planned["records"]
    assert taken_in + redriven + rescored == sum(total[name] for name in OUTCOME), total
    assert (total["duplicate"], total["quarantined"], total["dead"]) == (1, 1, 1)
    rows = shell("scores", "--output", "json", "--limit", 1000).data
    assert len(rows) == total["new"] == 45
    assert sum(row["label"] is None for row in rows) == 1, "the empty one"
    assert not any(row["provisional"] for row in rows)
