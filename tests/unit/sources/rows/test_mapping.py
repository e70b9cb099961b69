"""How rows become records: ids that stay, columns that come later, rows that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from worker.errors import ConfigurationError
from worker.sources.rows.columns import RowRefused, TimeRefused, choose
from worker.sources.rows.layout import CONTENT_ID, ROW_ID, Layout
from worker.sources.rows.mapping import MAX_ID_BYTES, RecordMaker, RowMapper

ROW = {"stars": "5", "text": "same", "at": None}


def mapper(row: Mapping[str, Any], layout: Layout | None = None, file: str = "a.csv") -> RowMapper:
    layout = layout or Layout()
    return RowMapper(choose(layout, list(row), file), layout, file)


def id_of(row: Mapping[str, Any], layout: Layout | None = None, file: str = "a.csv") -> str:
    return mapper(row, layout, file).record(row, 7).external_id


def test_a_derived_id_is_the_same_in_every_version() -> None:
    """Another one would store each record a second time."""
    assert id_of(ROW) == "f363854d4c443e8833dc6112"


def test_a_derived_id_is_of_the_whole_row_and_its_file_whatever_the_order_of_columns() -> None:
    assert id_of(dict(reversed(ROW.items()))) == id_of(ROW)
    others = [id_of(ROW | {"stars": "4"}), id_of(ROW, file="b.csv"), id_of({**ROW, "more": ""})]
    assert len({id_of(ROW), *others}) == 4


def test_values_do_not_run_into_one_another() -> None:
    assert id_of({"text": "x", "a": "1", "b": "2"}) != id_of({"text": "x", "a": "12", "b": ""})


def test_a_rows_place_is_its_id_where_that_is_meant() -> None:
    assert id_of(ROW, Layout(id=ROW_ID)) == "a.csv:7"


@pytest.mark.parametrize(
    "value",
    [None, "", "  ", float("nan"), True, {"a": 1}, [1], "a\0b", "\ud800", "x" * (MAX_ID_BYTES + 1),
     "\N{GRINNING FACE}" * (MAX_ID_BYTES // 4 + 1)],
    ids=repr,
)  # fmt: skip
def test_what_can_be_no_id_is_refused(value: Any) -> None:
    with pytest.raises(RowRefused, match="id"):
        id_of({"id": value, "text": "x"})


@pytest.mark.parametrize(
    ("value", "id_"),
    [(0, "0"), (12, "12"), (1.5, "1.5"), ("007", "007"), (" 7", " 7"), ("x" * MAX_ID_BYTES,) * 2],
)
def test_an_id_is_kept_to_the_letter(value: Any, id_: str) -> None:
    assert id_of({"id": value, "text": "x"}) == id_


@pytest.mark.parametrize(("value", "text"), [(None, ""), (5, "5"), (False, "False"), ("a", "a")])
def test_what_is_a_text(value: Any, text: str) -> None:
    record = mapper({"id": 1, "text": value}).record({"id": 1, "text": value})
    assert record.text == text
    assert (record.skip_reason == "empty") == (text == "")


@pytest.mark.parametrize("row", [{"id": 1}, {"id": 1, "text": ["a"]}, {"id": 1, "text": b"a"}])
def test_a_row_without_a_text_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(RowRefused, match="'text'"):
        mapper({"id": 1, "text": ""}).record(row)


def test_tags_that_are_empty_are_none_and_others_are_texts() -> None:
    layout = Layout(tags=("airline", "stars", "reason"))
    row = {"id": 1, "text": "x", "airline": " United ", "stars": 5, "reason": " "}
    assert mapper(row, layout).record(row).tags == {"airline": "United", "stars": "5"}
    none = row | {"airline": None, "stars": "", "reason": None}
    assert mapper(row, layout).record(none).tags is None


def json_lines(layout: Layout | None = None) -> RecordMaker:
    mapping = RecordMaker(layout or Layout(), [], file="a.jsonl")
    mapping.grows(open_ended=True)
    return mapping


def test_columns_that_come_later_are_seen_and_the_text_does_not_move() -> None:
    mapping = json_lines()
    assert mapping.identity is None
    assert mapping.record({"id": 1, "body": "said"}).text == "said"
    later = mapping.record({"id": 2, "body": "said", "text": "a better name", "author": "ali"})
    assert (later.text, later.author) == ("said", "ali")
    assert mapping.identity == {"id": "id", "text": "body", "columns": ""}


def test_a_file_of_a_header_is_known_by_its_columns_and_json_lines_are_not() -> None:
    one, other = (RecordMaker(Layout(), names, file="f") for names in (["text"], ["text", "x"]))
    assert one.identity is not None
    assert one.identity["id"] == CONTENT_ID
    assert one.identity != other.identity


def test_a_layout_that_fits_no_row_is_the_configurations_fault() -> None:
    mapping = json_lines(Layout(text="body"))
    for _ in range(2):
        with pytest.raises(RowRefused):
            mapping.record({"id": 1, "said": "x"})
    with pytest.raises(ConfigurationError, match="no column 'body'"):
        mapping.raise_if_nothing_fits([])
    mapping.record({"id": 2, "body": "x"})
    mapping.raise_if_nothing_fits([])


def test_of_times_that_cannot_be_read_the_one_that_reads_one_way_is_told() -> None:
    layout = Layout(time="on")
    mapping = RecordMaker(layout, ["id", "text", "on"], file="a.csv")
    for time in ("4/8/2016", "31/8/2016", "5/8/2016", "never"):
        with pytest.raises(TimeRefused):
            mapping.record({"id": 1, "text": "x", "on": time})
    with pytest.raises(ConfigurationError, match="31/8/2016") as raised:
        mapping.raise_if_nothing_fits([])
    assert "%d/%m/%Y" in raised.value.hint
    read = RecordMaker(replace(layout, time_format="%d/%m/%Y", timezone=None), [], file="a.csv")
    with pytest.raises(TimeRefused, match="no zone"):
        read.record({"id": 1, "text": "x", "on": "31/8/2016"})
