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
    assert (first["tag"], first["name"]) == ("product", "b")
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
    assert "Provisional scores: 1 (" in said
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


def test_a_terminal_without_utf8_gets_a_report_too(shell: Shell) -> None:
    done = shell("report", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.code == 0, done.err
    assert done.out.isascii()
    assert "net polarity" in done.out.lower()


def test_a_tag_of_many_values_moves_by_what_it_moved(
    tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda
) -> None:
    rows = [
        (f"{week}-{n}-{i}", "a good day", f"2026-03-{1 + 7 * week:02}T00:00:00Z", f"v{n}")
        for week in (0, 1)
        for n in range(60)
        for i in range(2 if n == 59 * week else 1)  # another is the largest each week
    ]
    rows.append(("x", "a bad day", "2026-03-08T00:00:00Z", "v7"))
    text = "\n".join(["id,text,time,tag", *map(",".join, rows)])
    (tmp_path / "many.csv").write_text(text)
    (tmp_path / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "many"\nkind = "file"\npath = "many.csv"\ntags = ["tag"]\n'
    )
    shell = Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
    )
    done = shell("once")
    assert done.code == 0, done.err
    found = shell("report", "--output", "json").data
    assert found["movers"][0]["name"] == "v7"
    assert all(mover["before"]["records"] for mover in found["movers"])


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


def test_what_negative_records_say_more_is_the_same_everywhere(
    shell: Shell, tmp_path: Path
) -> None:
    asked = ("report", "--since", "2026-03-01", "--until", "2026-03-22")
    terms = shell("terms", *asked[1:], "-n", 12, "-o", "json").data["terms"]
    assert terms
    told = shell(*asked)
    assert "What negative records say more" in told.out
    assert shell(*asked, "-o", "json").data["terms"] == terms
    page, print_ = tmp_path / "report.html", tmp_path / "report.pdf"
    done = shell(*asked, "--html", page, "--pdf", print_)
    assert done.code == 0, done.err
    html = page.read_text(encoding="utf-8")
    assert print_.read_bytes().startswith(b"%PDF")
    for term in terms:
        assert f"<td>{term['term']}</td>" in html
        assert term["term"].split()[0] in told.out


def test_of_a_tags_value_too_negative_records_are_compared_with_the_others(shell: Shell) -> None:
    asked = ("--since", "2026-03-01", "--until", "2026-03-22", "--tag", "product=b", "-o", "json")
    by_label = shell("terms", *asked, "--against", "labels", "-n", 12).data
    assert shell("report", *asked).data["terms"] == by_label["terms"]
    assert shell("terms", *asked).data["against"] == "values"
