"""`score` and worker.score(): the first thing that anybody tries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import worker
from tests.acceptance.command import COMMAND, Shell
from tests.scripted_lambda import ScriptedLambda, aws_error, scored
from worker.scoring.direct import ScoringFailed

TEXTS = ("I love this!", "This is terrible", "")


def test_on_this_machine_without_any_settings(tmp_path: Path) -> None:
    done = Shell(tmp_path)("score", *TEXTS, "-o", "json")
    assert done.code == 0, done.err
    assert [row["label"] for row in done.data] == ["positive", "negative", None]
    assert done.data[0]["polarity"] > 0.5
    assert (done.data[0]["model"], done.data[0]["model_version"]) == (
        "sentiment-multilingual",
        "1.0.0",
    )
    assert not (tmp_path / "home").exists(), "nothing is stored"
    table = Shell(tmp_path)("score", *TEXTS[:2])
    assert "positive" in table.out
    assert "This is terrible" in table.out


def test_lines_of_stdin_are_texts(tmp_path: Path) -> None:
    shell = Shell(tmp_path, USE_LAMBDA_SENTIMENT="0")
    done = subprocess.run(
        [str(COMMAND), "score"], input="I love this!\r\n\nThis is terrible\n", text=True,
        env=shell.variables, capture_output=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 4, "a row for each line, also for the blank one"
    assert "pattern-en" in done.stdout
    nothing = shell("score")
    assert nothing.code == 2
    assert "There is no text to score" in nothing.err


def test_many_texts_are_one_call_and_equal_ones_go_once(
    tmp_path: Path, scripted_lambda: ScriptedLambda
) -> None:
    scripted_lambda.script = lambda request, n: scored(request)
    shell = Shell(tmp_path, AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url, AWS_REGION="local")
    done = shell("score", *(f"a good day {n % 200}" for n in range(400)), "-o", "json")
    assert done.code == 0, done.err
    assert len(done.data) == 400
    assert [row["text"] for row in done.data[:2]] == ["a good day 0", "a good day 1"]
    assert len(scripted_lambda.requests) == 1
    assert len(scripted_lambda.requests[0]["texts"]) == 200


def test_a_failure_is_a_sentence(tmp_path: Path, scripted_lambda: ScriptedLambda) -> None:
    scripted_lambda.script = lambda request, n: aws_error(404, "ResourceNotFoundException")
    shell = Shell(tmp_path, AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url, AWS_REGION="local")
    done = shell("score", "fine")
    assert done.code == 1
    assert "There is no such function: check LAMBDA_FUNCTION_NAME" in done.err
    assert "Traceback" not in done.err


def test_from_python(monkeypatch: pytest.MonkeyPatch, scripted_lambda: ScriptedLambda) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", scripted_lambda.url)
    monkeypatch.setenv("AWS_REGION", "local")
    scripted_lambda.script = lambda request, n: scored(request)
    good, bad = worker.score(["a good day", "a bad day"])
    assert (good.label, bad.label) == ("positive", "negative")
    assert [each.label for each in worker.score(text for text in ["a good day"])] == ["positive"]
    with pytest.raises(TypeError, match="not one text"):
        worker.score("a good day")
    with pytest.raises(TypeError, match="Text 1 is a NoneType"):
        worker.score(["ok", None])
    scripted_lambda.script = lambda request, n: aws_error(429, "TooManyRequestsException")
    with pytest.raises(ScoringFailed) as error:
        worker.score(["x"])
    assert error.value.code == "TooManyRequestsException"


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, worker; print([m for m in sys.modules if m.startswith(('boto', 'sqlal'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
