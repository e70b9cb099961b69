"""A sample is drawn, a person labels it by one key each, and the machine is measured by that."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.acceptance.command import COMMAND, Shell
from tests.scripted_lambda import ScriptedLambda, scored

ROWS = 300


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    scripted_lambda.script = lambda request, n: scored(request)
    rows = "".join(f"{n},a good day {n}\n" for n in range(ROWS))
    (tmp_path / "reviews.csv").write_text(f"id,text\n{rows}", encoding="utf-8")
    shell = Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        LAMBDA_FUNCTION_NAME="sentiment",
    )
    assert shell("once", "reviews.csv").code == 0
    return shell


def asked(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def typed(shell: Shell, *lines: str, source: str = "reviews") -> str:
    done = subprocess.run(
        [str(COMMAND), "review", "next", "--source", source],
        cwd=shell.folder, env=shell.variables, input="\n".join(lines) + "\n", text=True,
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stderr + done.stdout


def test_draw_label_and_report(shell: Shell, engine: Engine) -> None:
    drawn = shell("review", "draw", "--source", "reviews", "--n", 40)
    assert drawn.code == 0, drawn.err
    assert "40 records" in drawn.err
    told = typed(shell, "3", "3", "u", "1", "s", "no idea", "x", "q")
    assert "a good day" in told
    assert "positive" not in told.split("a good day")[1].split("\n")[0], "what it said is not shown"
    assert "3 done, 37 left" in told
    found = shell("review", "report", "--source", "reviews", "--output", "json").data
    assert (found["drawn"], found["judged"], found["skipped"]) == (40, 2, 1)
    typed(shell, *["3"] * 37)
    found = shell("review", "report", "--source", "reviews", "--output", "json").data
    assert (found["judged"], found["at_random"]) == (39, found["accuracy"][0]["judged"])
    assert 17 <= found["at_random"] <= 20, "half of them, but for the one that was skipped"
    shares = {each["label"]: each["corrected"] for each in found["corrected"]}
    assert shares["positive"]["low"] > 0.7
    sql = "SELECT sum(overridden) FROM analytics.daily_sentiment"
    assert asked(engine, sql) == [(39,)], "what people say counts at once"


def test_each_part_is_told_apart_and_its_chance_is_kept(shell: Shell, engine: Engine) -> None:
    shell("review", "draw", "--source", "reviews", "--n", 40)
    sql = (
        "SELECT part, count(*) AS n, min(probability) AS p FROM analytics.review_items"
        " GROUP BY part ORDER BY part"
    )
    assert asked(engine, sql) == [
        ("random", 20, pytest.approx(20 / ROWS)),
        ("unsure", 10, None),
        ("varied", 10, None),
    ]


def test_what_people_corrected_stays_among_what_is_drawn_from(shell: Shell, engine: Engine) -> None:
    """Without it, what is left would look better than the source is."""
    for number in range(5):
        shell("override", "set", "reviews", number, "negative", "--why", "seen")
    shell("review", "draw", "--source", "reviews", "--n", 8)
    assert asked(engine, "SELECT positive + neutral + negative FROM analytics.reviews") == [(ROWS,)]


def test_a_text_that_was_rewritten_is_not_judged_unseen(shell: Shell, engine: Engine) -> None:
    shell("review", "draw", "--source", "reviews", "--n", 8)
    (shell.folder / "reviews.csv").write_text(
        "id,text\n" + "".join(f"{n},another day {n}\n" for n in range(ROWS)), encoding="utf-8"
    )
    assert shell("once", "reviews.csv").code == 0
    assert "0 done, 0 left" in typed(shell, "1", "1")
    assert asked(engine, "SELECT count(*) FROM sentiment.override") == [(0,)]


def test_what_was_corrected_by_other_ways_is_no_review(shell: Shell, engine: Engine) -> None:
    shell("review", "draw", "--source", "reviews", "--n", 300)
    shell("override", "set", "reviews", 7, "negative", "--why", "seen")
    found = shell("review", "report", "--source", "reviews", "--output", "json").data
    assert (found["judged"], found["accuracy"]) == (0, [])


def in_label_studio(shell: Shell, said: dict[int, dict[int, str]]) -> Path:
    """The tasks as they come back from there: what each person says of the records they judged."""
    tasks = shell("review", "export", "--source", "reviews").data
    for task in tasks:
        task["annotations"] = [
            {"completed_by": person, "was_cancelled": False, "result": [
                {"from_name": "sentiment", "to_name": "text", "type": "choices",
                 "value": {"choices": [label]}}]}
            for person, label in said.get(task["data"]["number"], {}).items()
        ]  # fmt: skip
    file = shell.folder / "labels.json"
    file.write_text(json.dumps(tasks), encoding="utf-8")
    return file


def test_label_studio_there_and_back(shell: Shell, engine: Engine) -> None:
    shell("review", "draw", "--source", "reviews", "--n", 8)
    typed(shell, "3", "q")
    tasks = shell("review", "export", "--source", "reviews").data
    assert len(tasks) == 7, "what is judged already is not exported"
    one, two, three, four, *_ = (task["data"]["number"] for task in tasks)
    said = {
        one: {1: "positive", 2: "positive"}, two: {1: "negative", 2: "positive"},
        three: {2: "neutral"}, four: {1: "negative", 2: "negative"},
    }  # fmt: skip
    file = in_label_studio(shell, said)
    first = shell("review", "import", file, "--source", "reviews")
    assert first.code == 0, first.err
    assert "7 records: 3 taken, 3 not judged there, 1 left open, for people disagree" in first.err
    assert "Krippendorff's alpha): 0.44" in first.err
    sql = (
        "SELECT number, person_label, reviewed_by FROM analytics.review_items"
        " WHERE person_label IS NOT NULL AND reviewed_by LIKE '%%Label Studio%%' ORDER BY number"
    )
    stored = asked(engine, sql)
    assert [row[:2] for row in stored] == [
        (one, "positive"),
        (three, "neutral"),
        (four, "negative"),
    ]
    assert stored[0][2] == "1 in Label Studio, 2 in Label Studio"
    sql = "SELECT sum(overridden) FROM analytics.daily_sentiment"
    assert asked(engine, sql) == [(4,)], "with the one that was typed; at once"
    again = shell("review", "import", file, "--source", "reviews")
    assert "0 taken" in again.err
    assert "4 judged already" in again.err
    assert asked(engine, sql) == [(4,)]


def test_argilla_there_and_back(shell: Shell, engine: Engine) -> None:
    """The file as Argilla 2.8's own JSON writer leaves it."""
    shell("review", "draw", "--source", "reviews", "--n", 8)
    records = shell("review", "export", "--source", "reviews", "--tool", "argilla").data
    ana, ben = "8b1b1c9e-8d3b-4f2e-9d62-111111111111", "8b1b1c9e-8d3b-4f2e-9d62-222222222222"
    said = {1: {ana: "negative", ben: "negative"}, 2: {ana: "positive", ben: "neutral"}}
    for record in records:
        given = said.get(record["metadata"]["number"], {})
        answers = [{"value": label, "user_id": user} for user, label in given.items()]
        record |= {"responses": {"sentiment": answers}, "status": "completed", "_server_id": "x"}
    file = shell.folder / "labels.json"
    file.write_text(json.dumps(records), encoding="utf-8")
    taken = shell("review", "import", file, "--source", "reviews", "--tool", "argilla")
    assert taken.code == 0, taken.err
    assert "8 records: 1 taken, 6 not judged there, 1 left open" in taken.err
    sql = "SELECT number, person_label FROM analytics.review_items WHERE person_label IS NOT NULL"
    assert asked(engine, sql) == [(1, "negative")]
    wrong = shell("review", "import", file, "--source", "reviews")
    assert wrong.code == 2
    assert "no JSON export of Label Studio" in wrong.err
    assert "LabelQuestion" in shell("review", "export", "-s", "reviews", "--interface",
                                    "--tool", "argilla").out  # fmt: skip


def test_labels_of_other_records_are_not_taken(shell: Shell, engine: Engine) -> None:
    shell("review", "draw", "--source", "reviews", "--n", 8)
    file = in_label_studio(shell, {1: {1: "negative"}, 2: {1: "negative"}})
    tasks = json.loads(file.read_text())
    tasks[1]["data"]["text"] = "another database's record"
    file.write_text(json.dumps(tasks))
    done = shell("review", "import", file, "--source", "reviews")
    assert done.code == 2
    assert "Record 2 of draw 1 is not what was drawn of 'reviews'. Nothing was taken." in done.err
    assert asked(engine, "SELECT count(*) FROM sentiment.override") == [(0,)]
    (shell.folder / "no.json").write_text("id,text\n")
    done = shell("review", "import", "no.json", "--source", "reviews")
    assert done.code == 2
    assert "no JSON export of Label Studio" in done.err


def test_control_characters_do_not_reach_the_terminal(shell: Shell) -> None:
    (shell.folder / "odd.csv").write_text(
        "id,text\n" + "".join(f'{n},"good \x1b[2J day :thumbs_down: {n}"\n' for n in range(8)),
        encoding="utf-8",
    )
    assert shell("once", "odd.csv").code == 0
    shell("review", "draw", "--source", "odd", "--n", 4)
    told = typed(shell, "q", source="odd")
    assert "\x1b" not in told
    assert ":thumbs_down:" in told


def test_what_cannot_be_is_said(shell: Shell) -> None:
    none = shell("review", "next", "--source", "reviews")
    assert none.code == 2
    assert "Nothing of 'reviews' was drawn yet" in none.err
    future = shell("review", "draw", "--source", "reviews", "--since", "2099-01-01")
    assert future.code == 2
    assert "no record to draw from" in future.err
    unknown = shell("review", "report", "--source", "revews")
    assert unknown.code == 2
    assert "reviews" in unknown.err


def test_a_source_that_is_removed_takes_its_reviews_along(shell: Shell, engine: Engine) -> None:
    shell("review", "draw", "--source", "reviews", "--n", 10)
    assert shell("sources", "remove", "reviews", "--yes").code == 0
    assert asked(engine, "SELECT count(*) FROM analytics.review_items") == [(0,)]
