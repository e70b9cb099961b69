"""The airline tweets, scored once by the real model: every row accounted for, each question of
docs/analytics.md, and docs/analysis.ipynb from its first cell to its last."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import sqlalchemy as sa
from nbclient import NotebookClient

from tests.acceptance.command import Shell
from tests.acceptance.stored import stored, tweets
from tests.conftest import cloned, needs_data
from tests.scripted_lambda import ScriptedLambda
from worker.store import database

DOCS = Path(__file__).parents[2] / "docs"
QUESTIONS = re.findall(
    r"\*\*(\d+)\. (.+?)\*\*.*?```sql\n(.+?)```", (DOCS / "analytics.md").read_text(), re.DOTALL
)
Scored = tuple[Shell, dict[str, Any]]


@pytest.fixture(scope="module")
def scored(
    tmp_path_factory: pytest.TempPathFactory, server_url: str, template: str, local_lambda: str
) -> Iterator[Scored]:
    with cloned(server_url, template) as url:
        yield tweets(tmp_path_factory.mktemp("tweets"), url, local_lambda)


@needs_data
def test_every_row_is_accounted_for_twice(scored: Scored) -> None:
    shell, report = scored
    c = report["counters"]
    assert (report["state"], c["read"], c["new"]) == ("done", 14_640, 14_485)
    assert c["read"] == sum(
        c[name] for name in ("new", "changed", "unchanged", "duplicate", "quarantined")
    )
    assert c["new"] == c["scored"] + c["skipped"]
    assert report["pending"] == 0
    (again,) = shell("once", "-o", "json").data
    assert again["counters"]["invocations"] == 0
    (status,) = shell("status", "-o", "json").data
    assert status["records"] == 14_485


def test_there_are_ten() -> None:
    assert [number for number, *_ in QUESTIONS] == [str(n) for n in range(1, 11)]


@needs_data
def test_every_question_has_an_answer(scored: Scored) -> None:
    shell, _ = scored
    (best,) = shell("scores", "--order", "most-positive", "-n", 1, "--output", "json").data
    chosen = best["external_id"]
    done = shell("override", "set", "tweets", chosen, "negative", "--why", "sarcasm")
    assert done.code == 0, done.err
    engine = database.make_engine(shell.variables["DATABASE_URL"], application="tests")
    reading = database.read_only(engine, timeout_s=30)
    answers = {}
    for number, question, sql in QUESTIONS:
        with database.transaction(reading) as connection:
            connection.exec_driver_sql("SET LOCAL ROLE sentiment_analyst")
            answers[number] = list(connection.execute(sa.text(sql.replace(":", r"\:"))))
        assert answers[number], question
    engine.dispose()
    assert answers["3"][0].airline != answers["3"][-1].airline
    assert answers["3"][0].share_negative > answers["3"][-1].share_negative
    assert sum(row.records for row in answers["1"]) == 14_485
    assert {row.label for row in answers["5"]} >= {"negative"}
    assert all(row.net_polarity < 0 for row in answers["1"]), "people write to airlines to complain"
    assert [row.external_id for row in answers["9"]] == [chosen]


@needs_data
def test_terms_say_what_upset_them(scored: Scored) -> None:
    shell, _ = scored
    asked = ("terms", "--since", "2015-02-01", "--until", "2015-03-01", "-o", "json")
    found = shell(*asked, "-n", 10).data
    first = " ".join(term["term"] for term in found["terms"])
    assert {"hours", "delayed", "cancelled"} <= set(first.split())
    assert not {"flight", "unit", "united"} & {term["term"] for term in found["terms"]}
    more = {term["term"] for term in shell(*asked, "-n", 40).data["terms"]}
    assert {"lost", "customer service", "rude"} <= more
    assert found["group"] + found["comparison"] > 14_000
    assert all(len(term["examples"]) == 3 for term in found["terms"])
    one = shell(*asked, "--tag", "airline=US Airways", "-n", 10).data
    assert one["against"] == "values"
    assert "hold" in [term["term"] for term in one["terms"]]
    assert not any("airways" in term["term"] for term in one["terms"])


@needs_data
def test_every_cell_of_the_notebook_runs_and_shows_something(
    scored: Scored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_notebook(scored[0], tmp_path, monkeypatch)


def test_the_notebook_runs_on_made_up_reviews_too(
    tmp_path: Path,
    database_url: str,
    scripted_lambda: ScriptedLambda,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _run_notebook(stored(tmp_path, database_url, scripted_lambda), tmp_path, monkeypatch)


def _run_notebook(shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", shell.variables["DATABASE_URL"])
    monkeypatch.chdir(folder)
    notebook = nbformat.read(DOCS / "analysis.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        assert not cell.get("outputs"), "it is kept without outputs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's machinery, not of the notebook
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output.output_type == "stream"
                and output.name == "stderr"]  # fmt: skip
    charts = [o for o in shown if "vega-lite" in str(o.get("data", {}))]
    assert len(charts) == 3
    words = "".join(output.get("text", "") for output in shown)
    assert "net polarity -0." in words
