"""Files as a source: what is accepted, refused, resumed."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import zstandard

from worker.aws import STANDARD
from worker.errors import ConfigurationError, SourceUnavailable
from worker.records import Page, Position, Record, Refusal
from worker.sources.files import storage
from worker.sources.files.reader import FileOptions
from worker.sources.files.source import FileSource
from worker.sources.rows.layout import Layout

OLD = 1_700_000_000


class Reader:
    """Reads a place again and again, keeping the cursor as the journal would."""

    def __init__(self, *places: Path | str, layout: Layout | None = None, **options: Any) -> None:
        how = {name: options.pop(name) for name in {*options} & {*FileOptions.__slots__}}
        self._source = FileSource(
            "s", [str(p) for p in places], layout or Layout(), options=FileOptions(**how), **options
        )
        self.positions: dict[str, Position] = {}
        self.pages: list[Page] = []

    def read(self) -> tuple[list[Record], list[Refusal]]:
        self.pages = []
        for page in self._source.pages(self.positions):
            # The cursor goes through JSON on its way to the database and back.
            self.positions[page.partition] = json.loads(json.dumps(page.position))
            self.pages.append(page)
        records = [record for page in self.pages for record in page.records]
        return records, [refusal for page in self.pages for refusal in page.refusals]


def write(path: Path, content: str | bytes, *, settled: bool = True) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if settled:
        os.utime(path, (OLD, OLD + path.stat().st_size % 1000))
    return path


def ids(records: Sequence[Record]) -> list[str]:
    return [record.external_id for record in records]


def test_usual_names_are_found_whatever_their_case(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "ID,Created_At,Body\n1,2026-01-01T00:00:00Z,hello\n")
    (record,), _ = Reader(file).read()
    assert (record.external_id, record.text) == ("1", "hello")
    assert record.published_at is not None


def test_no_text_column_is_a_sentence_that_names_the_columns(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,words\n1,hello\n")
    with pytest.raises(ConfigurationError, match="usual name") as raised:
        Reader(file).read()
    assert "id, words" in raised.value.hint


def test_values_that_look_like_something_else_are_kept(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text\n007,NA\n9007199254740993,null\nNaN,nan\n")
    records, refusals = Reader(file).read()
    assert ids(records) == ["007", "9007199254740993", "NaN"]
    assert [record.text for record in records] == ["NA", "null", "nan"]
    assert not refusals


def test_an_unclosed_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'id,text\n1,"fine\nstill"\n2,"broken\n3,good\n4,"ok"\n')
    records, refusals = Reader(file).read()
    assert ids(records) == ["1", "3", "4"]
    assert records[0].text == "fine\nstill"
    assert [refusal.offset for refusal in refusals] == ["line 4"]
    assert refusals[0].raw == b'2,"broken\n'


def test_too_few_and_too_many_columns_are_refused_by_line(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text\n1\n2,a,b\n3,fine\n\n")
    records, refusals = Reader(file).read()
    assert ids(records) == ["3"]
    assert [(r.offset, r.reason) for r in refusals] == [
        ("line 2", "1 columns where the header has 2"),
        ("line 3", "3 columns where the header has 2"),
    ]


def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'text' twice"):
        Reader(write(tmp_path / "a.csv", "id,text,text\n1,a,b\n")).read()


def test_a_wrong_byte_harms_its_row_only(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", b"id,text\n1,caf\xe9\n2,fine\n")
    records, refusals = Reader(file).read()
    assert ids(records) == ["2"]
    assert "not valid utf-8" in refusals[0].reason
    declared, none = Reader(file, encoding="cp1252").read()
    assert [record.text for record in declared] == ["café", "fine"]
    assert not none


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_comments_and_a_byte_order_mark_before_the_header(tmp_path: Path, mark: bytes) -> None:
    content = mark + b"# made up, isn't it \"\nid,text\n1,hello\n"
    records, _ = Reader(write(tmp_path / "a.csv", content)).read()
    assert ids(records) == ["1"]


def test_json_lines_are_refused_one_by_one(tmp_path: Path) -> None:
    good = [{"id": 1, "text": "a"}, {"id": 2, "text": "line\u2028separator\u0085"}]
    bad = [
        '{"id": 3, "text": NaN}',
        '{"id": 4, "id": 5, "text": "x"}',
        '{"id": 6, "text": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '"just a string"',
        '{"id": 7, "text": ["not", "text"]}',
        '{"id": null, "text": "no id"}',
        '{"id": 8}',
        "not json",
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in good] + bad
    records, refusals = Reader(write(tmp_path / "a.jsonl", "\n".join(lines) + "\n")).read()
    assert ids(records) == ["1", "2"]
    assert records[1].text == good[1]["text"]
    assert len(refusals) == len(bad)


def test_a_second_look_at_an_unchanged_file_reads_nothing(tmp_path: Path) -> None:
    reader = Reader(write(tmp_path / "a.csv", "id,text\n1,a\n"))
    assert len(reader.read()[0]) == 1
    reader.read()
    assert reader.pages == []


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst"])
def test_a_grown_file_is_read_from_where_it_stood(tmp_path: Path, suffix: str) -> None:
    packings: dict[str, Callable[[bytes], bytes]] = {
        "csv": bytes,
        "csv.gz": gzip.compress,
        "csv.zst": zstandard.compress,
    }
    pack = packings[suffix]
    file = write(tmp_path / f"a.{suffix}", pack(b"id,text\n1,a\n2,b\n"))
    reader = Reader(file)
    assert ids(reader.read()[0]) == ["1", "2"]
    write(file, pack(b'id,text\n1,a\n2,b\n3,"c\nd"\n'))
    assert ids(reader.read()[0]) == ["3"]


def test_an_edited_file_is_read_anew(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text\n1,a\n2,b\n")
    reader = Reader(file)
    reader.read()
    write(file, "id,text\n1,A\n2,b\n3,c\n")
    assert ids(reader.read()[0]) == ["1", "2", "3"]


def test_a_last_line_without_its_end_is_read_again_whole_when_the_file_grows(
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "a.csv", "id,text\n1,hello wor")
    reader = Reader(file)
    assert reader.read()[0][0].text == "hello wor"
    write(file, "id,text\n1,hello world\n2,b\n")
    records, refusals = reader.read()
    assert [record.text for record in records] == ["hello world", "b"]
    assert not refusals


@pytest.mark.parametrize(
    ("name", "first", "rest", "texts"),
    [
        ("a.jsonl", '{"id":1,"text":"a"}\n{"id":2,"te', 'xt":"b"}\n', ["a", "b"]),
        ("a.csv", "text,id\nold,12\nhello,12", "34\nmore,5\n", ["old", "hello", "more"]),
    ],
)
def test_half_a_row_of_a_growing_file_is_never_taken_for_a_whole_one(
    tmp_path: Path, name: str, first: str, rest: str, texts: list[str]
) -> None:
    file = write(tmp_path / name, first, settled=False)
    reader = Reader(file, is_at_rest=lambda blob: False)
    before, _ = reader.read()
    write(file, first + rest, settled=False)
    after, refusals = reader.read()
    assert [record.text for record in before + after] == texts
    assert not refusals


def test_a_cut_last_line_of_a_file_at_rest_is_refused_once(tmp_path: Path) -> None:
    reader = Reader(write(tmp_path / "a.jsonl", '{"id":1,"text":"a"}\n{"id":2,"te'))
    assert [len(part) for part in reader.read()] == [1, 1]
    assert [len(part) for part in reader.read()] == [0, 0]


def test_a_young_file_is_watched_for_a_moment(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text\n1,a", settled=False)
    reader = Reader(file, is_at_rest=partial(storage.is_at_rest, rest_s=0.2))
    assert len(reader.read()[0]) == 1


@pytest.mark.parametrize("rows", [20, 50_000])
def test_a_truncated_gzip_gives_the_rows_before_the_cut(tmp_path: Path, rows: int) -> None:
    lines = b"".join(b"%d,text %d\n" % (n, n) for n in range(rows))
    whole = gzip.compress(b"id,text\n" + lines)
    records, refusals = Reader(write(tmp_path / "a.csv.gz", whole[:-12])).read()
    assert len(records) >= rows * 0.9
    assert "cannot be read on" in refusals[-1].reason
    trailing, refusals = Reader(write(tmp_path / "b.csv.gz", whole + b"garbage")).read()
    assert len(trailing) == rows
    assert len(refusals) == 1


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
@pytest.mark.parametrize("header", [b"id,text\n", b""])
def test_a_bomb_is_no_endless_loop_wherever_it_strikes(
    tmp_path: Path, name: str, header: bytes
) -> None:
    file = write(tmp_path / name, gzip.compress(header + b"0" * 50_000_000))
    try:
        _, refusals = Reader(file, bomb_bytes=1_000_000).read()
        assert 1 <= len(refusals) <= 3
    except ConfigurationError as error:
        assert "unpacks to more" in str(error)  # noqa: PT017  either outcome is right


def test_utf_16_in_declared_encoding(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text\n1,gr\u00fcn\n2,\u4e2d\n".encode("utf-16"))
    records, _ = Reader(file, encoding="utf-16").read()
    assert [record.text for record in records] == ["gr\u00fcn", "\u4e2d"]


def test_strange_ids_and_times_are_rows_in_quarantine(tmp_path: Path) -> None:
    rows = [
        {"id": "\0", "text": "a"},
        {"id": 1, "text": "a", "date": "Mon, 01 Jan 99999999999999999999 00:00:00 +0000"},
        {"id": 2, "text": "fine"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    records, refusals = Reader(write(tmp_path / "a.jsonl", lines)).read()
    assert ids(records) == ["2"]
    assert len(refusals) == 2


def test_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\xfe.csv"
    with open(name, "wb") as file:
        file.write(b"id,text\n1,a\n")
    reader = Reader(tmp_path)
    assert ids(reader.read()[0]) == ["1"]
    assert all(partition.encode() for partition in reader.positions)


def test_a_damaged_parquet_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": list(range(1000)), "text": ["x" * 50] * 1000}), path)
    data = bytearray(path.read_bytes())
    data[100:160] = b"\xff" * 60
    path.write_bytes(data)
    _, refusals = Reader(path).read()
    assert "damaged" in refusals[0].reason
    write(tmp_path / "b.parquet.gz", gzip.compress(bytes(data))[:-20])
    with pytest.raises(ConfigurationError, match="cannot be unpacked"):
        Reader(tmp_path / "b.parquet.gz").read()


def test_a_bomb_is_refused_before_it_fills_anything(tmp_path: Path) -> None:
    bomb = gzip.compress(b"id,text\n" + b"0" * 50_000_000)
    _, refusals = Reader(write(tmp_path / "a.csv.gz", bomb), bomb_bytes=1_000_000).read()
    assert "unpacks to more than" in refusals[-1].reason


def test_a_row_of_megabytes_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", b"id,text\n1," + b"x" * 20_000_000 + b"\n2,fine\n")
    records, refusals = Reader(file).read()
    assert ids(records) == ["2"]
    assert "longer than" in refusals[0].reason


def test_a_time_without_a_zone_needs_a_declared_one(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,date,text\n1,2026-01-01 08:00,a\n")
    with pytest.raises(ConfigurationError, match="has no zone"):
        Reader(file).read()
    (record,), _ = Reader(file, layout=Layout(timezone=ZoneInfo("Europe/Berlin"))).read()
    assert record.published_at is not None
    assert record.published_at.isoformat() == "2026-01-01T07:00:00+00:00"


def test_one_wrong_time_among_right_ones_is_refused_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,date,text\n1,2026-01-01T00:00Z,a\n2,yesterday,b\n3,,c\n")
    records, refusals = Reader(file).read()
    assert ids(records) == ["1", "3"]
    assert len(refusals) == 1


@pytest.mark.parametrize(
    ("written", "pattern", "meant"),
    [
        ("2015-02-24 11:35:52 -0800", None, "2015-02-24T19:35:52+00:00"),
        ("Tue, 24 Feb 2015 11:35:52 -0800", None, "2015-02-24T19:35:52+00:00"),
        ("31-Jul-18", None, "2018-07-31T00:00:00+00:00"),
        ("8/4/2016 11:52", "%m/%d/%Y %H:%M", "2016-08-04T11:52:00+00:00"),
    ],
)
def test_times_as_they_come(tmp_path: Path, written: str, pattern: str | None, meant: str) -> None:
    file = write(tmp_path / "a.csv", f'id,date,text\n1,"{written}",a\n')
    layout = Layout(timezone=ZoneInfo("UTC"), time_format=pattern)
    (record,), _ = Reader(file, layout=layout).read()
    assert record.published_at is not None
    assert record.published_at.isoformat() == meant


def test_an_ambiguous_time_is_never_guessed(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,date,text\n1,8/4/2016 11:52,a\n")
    with pytest.raises(ConfigurationError, match="more than one way"):
        Reader(file, layout=Layout(timezone=ZoneInfo("UTC"))).read()


def test_ids_are_derived_from_file_and_row_where_there_is_no_column(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "stars,text\n5,same\n5,same\n4,same\n")
    first = ids(Reader(file).read()[0])
    assert first[0] == first[1] != first[2]
    other = write(tmp_path / "b.csv", "stars,text\n5,same\n")
    assert ids(Reader(other).read()[0])[0] != first[0]


def test_of_many_files_a_strange_one_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "id,text\n1,a\n")
    write(tmp_path / "b.csv", "id,nothing\n1,a\n")
    write(tmp_path / "c.jsonl", '{"id":3,"text":"c"}\n')
    write(tmp_path / "ignored.pdf", "x")
    reader = Reader(tmp_path)
    records, refusals = reader.read()
    assert ids(records) == ["1", "3"]
    assert [refusal.offset for refusal in refusals] == ["file"]
    assert reader.read() == ([], [])


def test_an_empty_file_is_no_error(tmp_path: Path) -> None:
    for name in ("a.csv", "b.jsonl"):
        write(tmp_path / name, "")
    assert Reader(tmp_path).read() == ([], [])


def test_a_missing_file_and_an_unknown_kind_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="There is no file"):
        Reader(tmp_path / "nope.csv").read()
    with pytest.raises(ConfigurationError, match="no kind that can be read"):
        Reader(write(tmp_path / "a.pdf", "x")).read()


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": [9007199254740993, 2], "text": ["a", None], "created_at": [None, None]})
    pq.write_table(table, tmp_path / "a.parquet")
    reader = Reader(tmp_path / "a.parquet")
    records, _ = reader.read()
    assert ids(records) == ["9007199254740993", "2"]
    assert records[1].skip_reason == "empty"
    assert reader.read() == ([], [])


def test_pages_are_bounded_and_each_can_be_resumed(tmp_path: Path) -> None:
    rows = "".join(f'{n},"text\n{n}"\n' for n in range(95))
    file = write(tmp_path / "a.csv", "id,text\n" + rows)
    source = FileSource("s", [str(file)], Layout(), options=FileOptions(page_rows=10))
    pages = list(source.pages({}))
    assert max(len(page.records) for page in pages) == 10
    for stop, page in enumerate(pages):
        rest = [r for p in source.pages({str(file): page.position}) for r in p.records]
        read = [r for p in pages[: stop + 1] for r in p.records]
        assert ids(read + rest) == [str(n) for n in range(95)]


def grown(path: Path, more: str) -> None:
    write(path, path.read_bytes() + more.encode())


def held(reader: Reader, into: dict[str, Record]) -> dict[str, Record]:
    """What a store would hold after one more reading."""
    records, _ = reader.read()
    into |= {record.external_id: record for record in records}
    return into


def test_a_field_of_several_lines_that_was_being_written(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'id,text\n1,"the first line\n')
    reader = Reader(file)
    assert reader.read()[1], "as it stands it is no row"
    grown(file, 'and the second"\n2,fine\n')
    records, refusals = reader.read()
    assert [(r.external_id, r.text) for r in records] == [
        ("1", "the first line\nand the second"),
        ("2", "fine"),
    ]
    assert not refusals
    assert reader.pages[-1].complete, "so that what was refused leaves quarantine"


def test_half_an_id_does_not_stay_in_anothers_place(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,id\nwonderful,12\nawful,12")
    reader = Reader(file)
    found: dict[str, Record] = {}
    assert held(reader, found)["12"].text == "awful"
    grown(file, "345\nfine,14\n")
    assert {i: r.text for i, r in held(reader, found).items()} == {
        "12": "wonderful",
        "12345": "awful",
        "14": "fine",
    }


def test_a_row_that_never_was_is_withdrawn(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,author\nlovely,ali")
    reader = Reader(file)
    found: dict[str, Record] = {}
    (half,) = held(reader, found)
    grown(file, "ce\n")
    assert held(reader, found)[half].skip_reason == "withdrawn"
    assert [(r.text, r.author) for r in found.values() if not r.skip_reason] == [
        ("lovely", "alice")
    ]


def test_a_withdrawal_survives_an_interruption(tmp_path: Path) -> None:
    rows = "".join(f"text {n},{n}\n" for n in range(10, 16))
    file = write(tmp_path / "a.csv", f"text,id\n{rows}lovely,9")
    reader = Reader(file, page_rows=2)
    found: dict[str, Record] = {}
    assert "9" in held(reader, found)
    grown(file, "9\n")
    source = FileSource("s", [str(file)], Layout(), options=FileOptions(page_rows=2))
    first = next(iter(source.pages(reader.positions)))
    reader.positions[first.partition] = json.loads(json.dumps(first.position))
    assert held(reader, found)["9"].skip_reason == "withdrawn"
    assert found["99"].text == "lovely"


def test_a_new_file_in_its_place_withdraws_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,id\nlovely,1")
    reader = Reader(file)
    found: dict[str, Record] = {}
    held(reader, found)
    write(file, "text,id\nother,2\nmore,3\n")
    assert held(reader, found)["1"].text == "lovely"


def test_rows_behind_an_open_quote_are_not_read_for_ever(tmp_path: Path) -> None:
    rows = "".join(f"{n},text\n" for n in range(200))
    file = write(tmp_path / "a.csv", f'id,text\nx,"never closed\n{rows}')
    reader = Reader(file)
    assert len(reader.read()[0]) == 200
    grown(file, "200,text\n")
    assert ids(reader.read()[0]) == ["200"]


def test_what_was_cut_and_is_whole_again_leaves_quarantine(tmp_path: Path) -> None:
    whole = gzip.compress(b"id,text\n" + b"".join(b"%d,%032x\n" % (n, n) for n in range(9000)))
    file = write(tmp_path / "a.csv.gz", whole[:9000])
    reader = Reader(file)
    assert reader.read()[1]
    write(file, whole)
    records, refusals = reader.read()
    assert (len(records), refusals) == (9000, [])
    assert reader.pages[-1].complete


def test_ids_that_could_be_anothers_are_refused(tmp_path: Path) -> None:
    lines = [r'{"id": "a\u0000", "text": "x"}', r'{"id": "\ud800", "text": "x"}']
    records, refusals = Reader(write(tmp_path / "a.jsonl", "\n".join(lines) + "\n")).read()
    assert not records
    assert len(refusals) == 2


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_said(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "a.csv"
    if kind == "link":
        place.symlink_to(tmp_path / "nowhere")
    else:
        os.mkfifo(place)
    with pytest.raises(SourceUnavailable, match="is no file: a link that leads nowhere"):
        storage.find(str(place), STANDARD)


def test_a_folder_that_cannot_be_listed_is_not_left_out(tmp_path: Path) -> None:
    """Its path is longer than the system takes: that stops root, too."""
    (tmp_path / "a.csv").write_text("id,text\n1,a\n")
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=place)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    with pytest.raises(SourceUnavailable, match="cannot be read: File name too long"):
        storage.find(str(tmp_path), STANDARD)
