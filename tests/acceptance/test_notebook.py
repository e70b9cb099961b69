"""docs/analysis.ipynb, run from its first cell to its last as a reader would."""

from __future__ import annotations

import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.acceptance.stored import TWEETS, stored, tweets
from tests.scripted_lambda import ScriptedLambda

NOTEBOOK = Path(__file__).parents[2] / "docs" / "analysis.ipynb"


def test_every_cell_runs_and_shows_something(
    tmp_path: Path,
    database_url: str,
    scripted_lambda: ScriptedLambda,
    local_lambda: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if TWEETS.is_file():
        shell = tweets(tmp_path, database_url, local_lambda)
    else:
        shell = stored(tmp_path, database_url, scripted_lambda)
    monkeypatch.setenv("DATABASE_URL", shell.variables["DATABASE_URL"])
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        assert not cell.get("outputs"), "it is kept without outputs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's machinery, not of the notebook
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output.output_type == "stream"
                and output.name == "stderr"]  # fmt: skip
    charts = [o for o in shown if "vega-lite" in str(o.get("data", {}))]
    assert len(charts) == 3
    words = "".join(output.get("text", "") for output in shown)
    assert "net polarity -0." in words
