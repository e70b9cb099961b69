"""XLSX workbooks, and ZIP archives with files of our formats inside."""

from __future__ import annotations

import contextlib
import gzip
import io
import warnings
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from openpyxl import Workbook

from worker.errors import ConfigurationError
from worker.records import BEFORE, Page, Record
from worker.sources.files.reader import FileOptions
from worker.sources.files.source import FileSource
from worker.sources.rows.layout import ROW_ID, Layout

Positions = dict[str, Any]


def read(path: Path, positions: Positions | None = None, **said: Any) -> list[Page]:
    positions = {} if positions is None else positions
    options = FileOptions(**{k: said.pop(k) for k in ("sheet", "bomb_bytes") if k in said})
    pages = []
    for page in FileSource("s", [str(path)], Layout(**said), options=options).pages(positions):
        positions[page.partition] = page.position
        pages.append(page)
    return pages


def records(pages: list[Page]) -> dict[str, Record]:
    return {record.external_id: record for page in pages for record in page.records}


def reasons(pages: list[Page]) -> list[str]:
    return [f"{refusal.offset}: {refusal.reason}" for page in pages for refusal in page.refusals]


def workbook(*rows: tuple[object, ...], sheet: str = "Reviews") -> bytes:
    book = Workbook()
    assert book.active is not None
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    book.create_sheet("Other").append(("id", "text"))
    book["Other"].append((9, "elsewhere"))
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


ROWS = (
    ("id", "text", "time", "stars", None),
    (1, "a good day", datetime(2026, 3, 4, 10), 5, "beside the table"),
    (None, None, None, None),
    (2, "a bad day", datetime(2026, 3, 5, 10), 1),
    (None, "without an id", None, None),
    (3, 404, None, None),
)


def test_the_rows_of_the_first_sheet(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(workbook(*ROWS))
    pages = read(tmp_path / "a.xlsx", timezone=ZoneInfo("Europe/Berlin"), tags=("stars",))
    found = records(pages)
    assert {id_: record.text for id_, record in found.items()} == {
        "1": "a good day",
        "2": "a bad day",
        "3": "404",
    }
    assert found["1"].published_at == datetime(2026, 3, 4, 9, tzinfo=UTC)
    assert found["2"].tags == {"stars": "1"}
    assert reasons(pages) == ["row 4: no usable id in 'id'"], "counted from below the header"
    assert pages[-1].complete


def test_another_sheet_and_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(workbook(*ROWS))
    assert set(records(read(tmp_path / "a.xlsx", sheet="Other"))) == {"9"}
    with pytest.raises(ConfigurationError, match="no sheet 'Otter'") as raised:
        read(tmp_path / "a.xlsx", sheet="Otter")
    assert "'Reviews', 'Other'" in raised.value.hint


def test_a_workbook_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(workbook(*ROWS))
    positions: Positions = {}
    zone = ZoneInfo("UTC")
    assert len(records(read(tmp_path / "a.xlsx", positions, timezone=zone))) == 3
    assert read(tmp_path / "a.xlsx", positions, timezone=zone) == []
    (tmp_path / "a.xlsx").write_bytes(workbook(*ROWS, (4, "new", None, None)))
    assert set(records(read(tmp_path / "a.xlsx", positions, timezone=zone))) == {"1", "2", "3", "4"}


@pytest.mark.parametrize(
    "content", [b"", b"id,text\n1,a\n", b"\xd0\xcf\x11\xe0 a password", workbook(*ROWS)[:900]]
)
def test_no_workbook(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(ConfigurationError, match="no XLSX workbook"):
        read(tmp_path / "a.xlsx")


def test_an_xml_bomb_in_a_workbook_does_not_go_off(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 6))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{entities}]>'
    sheet = "xl/worksheets/sheet1.xml"
    made = io.BytesIO(workbook(*ROWS))
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            if name == sheet:
                assert "a good day" in text
                text = bomb + text.replace("a good day", "&l5;")
            new.writestr(name, text)
    pages: list[Page] = []
    with contextlib.suppress(ConfigurationError):
        pages = read(tmp_path / "a.xlsx", timezone=ZoneInfo("UTC"))
        assert any("damaged" in reason for reason in reasons(pages))
    assert all("lollol" not in record.text for record in records(pages).values())


def archive(path: Path, files: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def test_each_file_inside_is_read_by_its_format(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("deep.csv", "id,text\n8,deep\n")
    path = archive(
        tmp_path / "takeout.zip",
        {
            "Takeout/Reviews/a.csv": "id,text\n1,one\n2,two\n",
            "Takeout/b.jsonl": '{"id": 3, "text": "three"}\n{broken\n',
            "Takeout/c.csv.gz": gzip.compress(b"id,text\n4,four\n"),
            "d.xlsx": workbook(("id", "text"), (5, "five")),
            "nested.zip": inner.getvalue(),
            "readme.html": "<p>not read</p>",
            "__MACOSX/a.csv": "id,text\n6,six\n",
            ".hidden.csv": "id,text\n7,seven\n",
        },
    )
    positions: Positions = {}
    pages = read(path, positions)
    assert set(records(pages)) == {"1", "2", "3", "4", "5"}
    assert len(reasons(pages)) == 1
    assert f"{path}!Takeout/Reviews/a.csv" in positions
    assert read(path, positions) == [], "an archive that did not change is not opened"


def test_a_new_archive_with_an_old_file_brings_what_is_new(tmp_path: Path) -> None:
    path, positions = tmp_path / "a.zip", dict[str, Any]()
    archive(path, {"a.csv": "id,text\n1,one\n"})
    read(path, positions)
    archive(path, {"a.csv": "id,text\n1,one\n", "b.csv": "id,text\n2,two\n"})
    assert set(records(read(path, positions))) == {"2"}
    member = f"{path}!a.csv"
    again = {BEFORE: positions[member], "identity": positions[member].get("identity")}
    assert set(records(read(path, positions | {member: again}))) == {"1"}


def test_a_run_that_was_killed_goes_on_inside_the_archive(tmp_path: Path) -> None:
    path, positions = tmp_path / "a.zip", dict[str, Any]()
    rows = "".join(f"{n},text {n}\n" for n in range(9_000))
    archive(path, {"a.csv": "id,text\n0,zero\n", "b.csv": f"id,text\n{rows}"})
    found: dict[str, Record] = {}
    for _ in range(20):
        page = next(iter(FileSource("s", [str(path)], Layout()).pages(positions)), None)
        if page is None:
            break
        positions[page.partition] = page.position
        found |= records([page])
    assert page is None
    assert len(found) == 9_000


def test_bombs_secrets_and_broken_archives_are_refused(tmp_path: Path) -> None:
    bomb = "id,text\n1," + "0" * 3_000_000 + "\n"
    path = archive(tmp_path / "a.zip", {"bomb.csv": bomb, "good.csv": "id,text\n1,one\n"})
    pages = read(path, bomb_bytes=100_000)
    assert set(records(pages)) == {"1"}
    assert any("unpacks to more than" in reason for reason in reasons(pages))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 8
    content[at] |= 1  # the flag of an encrypted file, in the archive's index
    path.write_bytes(content)
    assert any("is encrypted" in reason for reason in reasons(read(path, bomb_bytes=100_000)))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigurationError, match="no ZIP archive"):
        read(path)


def test_rows_as_records_have_the_whole_name_of_their_file(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"x/a.csv": "text\none\n", "y/a.csv": "text\ntwo\n"})
    assert set(records(read(path, id=ROW_ID))) == {"a.zip!x/a.csv:2", "a.zip!y/a.csv:2"}


def test_a_damaged_file_of_an_archive_hides_no_other(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = tmp_path / f"{method}.zip"
        rows = "id,text\n" + "".join(f"{n},text {n * 7919}\n" for n in range(900))
        with zipfile.ZipFile(path, "w", method) as packed:
            packed.writestr("a.csv", rows)
            packed.writestr("b.csv", "id,text\nb,good\n")
            start = packed.infolist()[0].header_offset + 30 + len("a.csv")
        content = bytearray(path.read_bytes())
        content[start + 40 : start + 90] = b"\xff" * 50
        path.write_bytes(content)
        pages = read(path)
        assert "b" in records(pages), method
        assert reasons(pages), method


def test_a_workbook_with_a_lie_about_its_size_or_its_rows(tmp_path: Path) -> None:
    made = io.BytesIO(workbook(*ROWS))
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            if name == "xl/worksheets/sheet1.xml":
                text = text.replace('<row r="6"', '<row r="99999999999"')
            new.writestr(name, text)
    pages = read(tmp_path / "a.xlsx", timezone=ZoneInfo("UTC"))
    assert set(records(pages)) == {"1", "2"}
    assert len(pages) < 10, "blank lines make no pages"
    made = io.BytesIO(workbook(("id", "text"), *((n, "x" * 32_000) for n in range(300))))
    path = tmp_path / "lie.xlsx"
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.writestr("unused", b"")
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 20  # what the last part says of its packed size
    content[at : at + 4] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="no XLSX workbook"):
        read(path, bomb_bytes=100)


def test_names_that_come_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(workbook(("id", "text", "text"), (1, "a", "b")))
    with pytest.raises(ConfigurationError, match="'text' twice"):
        read(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own
        packed.writestr("a.csv", "id,text\n1,one\n")
        packed.writestr("a.csv", "id,text\n2,two\n")
    with pytest.raises(ConfigurationError, match=r"two files named 'a.csv'"):
        read(tmp_path / "a.zip")
