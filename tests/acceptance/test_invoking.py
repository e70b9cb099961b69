"""What the log of a run says of its calls, and what is offered after a time without the Lambda."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.acceptance.command import Shell
from tests.scripted_lambda import ScriptedLambda, scored


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    scripted_lambda.script = lambda request, n: scored(request)
    rows = "".join(f"{n},a good day {n}\n" for n in range(30))
    (tmp_path / "reviews.csv").write_text(f"id,text\n{rows}")
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        SENTIMENT_CHUNK_TEXTS="10",
    )


def test_each_call_is_a_line_in_the_words_that_people_look_for(shell: Shell) -> None:
    done = shell("once", "reviews.csv", SENTIMENT_LOG_FORMAT="console")
    assert done.code == 0, done.err
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.err)
    assert plain.count("Invoking Lambda for 10 texts") == 3
    assert plain.count("Lambda sentiment analysis complete: 10 results") == 3
    assert "a good day" not in plain


def test_in_json_the_numbers_are_fields(shell: Shell) -> None:
    done = shell("once", "reviews.csv")
    lines = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    asked = [line["texts"] for line in lines if line["event"] == "lambda.invoking"]
    answered = [line for line in lines if line["event"] == "lambda.answered"]
    assert asked == [10, 10, 10]
    assert [line["results"] for line in answered] == [10, 10, 10]
    assert {"chunk", "ms", "run", "source"} <= answered[0].keys()


def test_after_textblob_by_choice_a_rescore_is_offered_until_it_was_done(shell: Shell) -> None:
    assert shell("once", "reviews.csv", USE_LAMBDA_SENTIMENT="0").code == 0
    offered = "TextBlob scored 30 records of reviews while USE_LAMBDA_SENTIMENT was 0"
    back = shell("once", "reviews.csv")
    assert offered in back.err
    (command,) = re.findall(r"sentiment-worker (rescore plan .*)", back.err)
    planned = shell(*command.split())
    assert planned.code == 0, planned.err
    (number,) = re.findall(r"backfill apply (\d+)", planned.err)
    assert shell("backfill", "apply", number).code == 0
    assert offered not in shell("once", "reviews.csv").err
    rows = shell("scores", "--source", "reviews", "-n", "99", "-o", "json").data
    assert {row["scorer"] for row in rows} == {"lambda"}
