"""What is exported comes back to the letter, and for a spreadsheet nothing of it runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import DATA, needs_data
from worker import export

HOSTILE = [
    "@VirginAmerica what a flight",
    "-12",
    "+3.5e10",
    "=1+1",
    '=cmd|"/c calc"!A1',
    "'quoted",
    'a "quote", a comma',
    "two\nlines",
    "old\rmac",
    "win\r\ndows",
    "\ttab",
    " space ",
    "",
    "NA",
    "null",
    "007",
    "9007199254740993",
    "\u202eright to left",
    "😀 emoji",
    "\u2028 separator",
    "\ufeffmark",
    "-not a number",
]
COLUMNS: dict[str, type] = {"external_id": str, "text": str, "polarity": float}


def rows(texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"external_id": f"-{n}", "text": text, "polarity": -0.5} for n, text in enumerate(texts)
    ]


def saved(path: Path, texts: list[str], *, for_spreadsheet: bool = False) -> Path:
    writer = export.writer_for(path, for_spreadsheet=for_spreadsheet)
    assert export.save(rows(texts), COLUMNS, path, writer) == len(texts)
    return path


def check(path: Path, texts: list[str]) -> None:
    with open(saved(path, texts), encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["text"] for row in found] == texts
    assert [row["external_id"] for row in found] == [f"-{n}" for n in range(len(texts))]
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator="\n")
    assert list(frame["external_id"]) == [f"-{n}" for n in range(len(texts))]
    assert list(frame["text"]) == texts


def test_csv_is_exact(tmp_path: Path) -> None:
    check(tmp_path / "out.csv", HOSTILE)


@needs_data
def test_naughty_strings_are_exact(tmp_path: Path) -> None:
    naughty = json.loads((DATA / "robustness" / "blns" / "blns.json").read_text("utf-8"))
    check(tmp_path / "out.csv", [text.replace("\0", "") for text in naughty])


def test_for_a_spreadsheet_formulas_are_texts_and_numbers_stay(tmp_path: Path) -> None:
    path = saved(tmp_path / "out.csv", HOSTILE, for_spreadsheet=True)
    with open(path, encoding="utf-8", newline="") as file:
        found = [row["text"] for row in csv.DictReader(file)]
    for text, cell in zip(HOSTILE, found, strict=True):
        runs = text.startswith(export.FORMULA) and text not in ("-12", "+3.5e10")
        assert cell == (f"'{text}" if runs else text)
    assert not any(export.runs(cell) for cell in found)


def test_cells_that_would_run_are_counted() -> None:
    watched = export.Watched(rows(HOSTILE))
    assert len(list(watched)) == len(HOSTILE)
    assert watched.formulas == sum(export.runs(text) for text in HOSTILE) == 5


@pytest.mark.parametrize(
    ("text", "column", "runs"),
    [("-12", "text", False), ("-12", "external_id", False), ("-a-b", "external_id", False),
     ("@user", "external_id", False), ("=1", "external_id", True),
     ("-1+cmd|x!A1", "external_id", True),
     ("@SUM(1)", "external_id", True), ("-a", "text", True)],
)  # fmt: skip
def test_ids_that_cannot_run_are_exempt(text: str, column: str, runs: bool) -> None:
    assert export.runs(text, column) is runs
