"""What is exported comes back to the letter, and for a spreadsheet nothing of it runs."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from datetime import UTC, datetime
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


def test_a_cell_holds_what_excel_can_and_an_early_time_is_a_text(tmp_path: Path) -> None:
    long = "x" + "\U0001f600" * 20_000
    path = tmp_path / "out.xlsx"
    early = datetime(1899, 12, 31, 12, tzinfo=UTC)
    found = export.Watched([{"text": long, "at": early}, {"text": "short", "at": None}])
    write = export.writer_for(path)
    assert export.save(found, {"text": str, "at": datetime}, path, write) == 2
    assert found.long == 1, "and it is said"
    with zipfile.ZipFile(path) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    cell = max(re.findall("<t[^>]*>([^<]*)</t>", sheet), key=len)
    assert cell == "x" + "\U0001f600" * 16_383, "no half of a pair"
    assert "1899-12-31T12:00:00+00:00" in sheet


def test_for_a_spreadsheet_formulas_are_texts_and_numbers_stay(tmp_path: Path) -> None:
    path = saved(tmp_path / "out.csv", HOSTILE, for_spreadsheet=True)
    with open(path, encoding="utf-8", newline="") as file:
        found = [row["text"] for row in csv.DictReader(file)]
    for text, cell in zip(HOSTILE, found, strict=True):
        runs = text.startswith(export.FORMULA) and text not in ("-12", "+3.5e10")
        assert cell == (f"'{text}" if runs else text)
    assert not any(export.is_formula(cell) for cell in found)


def test_cells_that_would_run_are_counted() -> None:
    watched = export.Watched(rows(HOSTILE))
    assert len(list(watched)) == len(HOSTILE)
    assert watched.formulas == sum(export.is_formula(text) for text in HOSTILE) == 5


@pytest.mark.parametrize("text", ["-12", "+3,5", "-1.5e3", ".5", "-7%"])
def test_numbers_are_no_formulas(text: str) -> None:
    assert not export.is_formula(text)


@pytest.mark.parametrize(
    "text",
    ["=1", "-A1", "@A1", "-1-2", "+A1:B2", "-1+cmd|x!A1", "\t=1", "\uff1d1", " =1", "\ufeff=1"],
)
def test_what_a_spreadsheet_evaluates_is_one(text: str) -> None:
    assert export.is_formula(text)
