"""The report as an analyst gets it: the same words on a terminal and in files without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from tests.acceptance.command import Shell
from tests.acceptance.stored import CURSED, HOSTILE, stored
from tests.conftest import cloned
from tests.scripted_lambda import ScriptedLambda


@pytest.fixture(scope="module")
def shell(
    tmp_path_factory: pytest.TempPathFactory, server_url: str, template: str
) -> Iterator[Shell]:
    with cloned(server_url, template) as url, ScriptedLambda() as server:
        yield stored(tmp_path_factory.mktemp("report"), url, server)


def test_a_week_against_the_week_before(shell: Shell) -> None:
    found = shell("report", "--output", "json").data
    assert (found["now"]["records"], found["before"]["records"]) == (7 * 12 + 2, 7 * 12)
    assert found["before"]["net"] == 0
    assert found["change"] < -0.4
    assert "clearly worse" in found["verdict"]
    (first, *_) = found["movers"]
    assert (first["kind"], first["name"]) == ("product", "b")
    assert len(first["records"]) == 3
    assert all(
        row["tags"]["product"] == "b" and row["label"] == "negative" for row in first["records"]
    )
    moved = sum(mover["moved"] for mover in found["movers"])
    assert moved == pytest.approx(found["change"], abs=1e-9), "every record is in one of the groups"
    assert found["trust"]["provisional"] == 1


def test_the_terminal_says_the_same(shell: Shell) -> None:
    said = shell("report").out
    assert "clearly worse" in said
    assert "1 scores" in said
    assert "provisional" in said
    assert "15 March 2026 to 21 March 2026" in said
    assert "nothing was scored in the 30 days before" in shell("report", "--days", 30).out
    calm = shell("report", "--since", "2026-03-08", "--until", "2026-03-15").out
    assert "no clear change" in calm
    assert shell("report", "--tag", "product=a").out.startswith(
        "Sentiment of all sources, product a"
    )
    assert shell("report", "--tag", "product").code == 2
    assert shell("report", "--since", "2026-03-08", "--until", "2026-03-08").code == 2
    assert (
        "No record is of" in shell("report", "--since", "2020-01-01", "--until", "2020-01-02").out
    )


def test_as_files_that_need_no_network(shell: Shell) -> None:
    files = [shell.folder / f"report.{kind}" for kind in ("html", "pdf", "png")]
    done = shell("report", "--html", files[0], "--pdf", files[1], "--png", files[2])
    assert done.code == 0, done.err
    assert done.out == ""
    page = files[0].read_text()
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert "<script>" not in page, "of a record's text nothing is markup"
    assert HOSTILE in unescape(page)
    assert page.count('<img src="data:image/svg+xml;base64,') == 5
    assert "clearly worse" in page
    assert CURSED in page
    assert "(provisional)" in page
    assert files[1].read_bytes().startswith(b"%PDF-")
    assert files[2].read_bytes().startswith(b"\x89PNG")


def test_a_file_that_cannot_be_written_is_said(shell: Shell, tmp_path: Path) -> None:
    done = shell("report", "--html", tmp_path / "nowhere" / "report.html")
    assert done.code == 2
    assert "cannot be written" in done.err
