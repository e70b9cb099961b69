"""Which column is what; times that are read, and what is advised where they are not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import ConfigurationError
from worker.sources.rows.columns import TimeParser, TimeRefused, choose
from worker.sources.rows.layout import CONTENT_ID, Layout

BERLIN = ZoneInfo("Europe/Berlin")


def test_usual_names_are_found_and_what_was_said_comes_before_them() -> None:
    there = ["Id", "Title", "BODY", "said", "Date", "Lang", "airline"]
    usual = choose(Layout(), there, "a.csv")
    assert (usual.id, usual.text, usual.time, usual.language) == ("Id", "BODY", "Date", "Lang")
    told = choose(Layout(id="airline", text="said", tags=("airline",)), there, "a.csv")
    assert (told.id, told.text, told.tags) == ("airline", "said", ("airline",))
    assert told.names() == ["airline", "said", "Date", "Lang"], "each column once"


def test_of_two_that_differ_in_case_alone_the_first_is_taken() -> None:
    assert choose(Layout(), ["Text", "TEXT"], "a.csv").text == "Text"


def test_a_rule_for_ids_is_no_columns_name() -> None:
    found = choose(Layout(id=CONTENT_ID), ["id", "content"], "a.csv")
    assert (found.id, found.text) == (None, "content")


def test_a_name_that_is_said_is_meant_to_the_letter() -> None:
    with pytest.raises(ConfigurationError, match="no column 'Body'") as raised:
        choose(Layout(text="Body"), ["id", "body"], "a.csv")
    assert "id, body" in raised.value.hint


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_header_that_is_one_column_asks_about_its_delimiter(mark: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        choose(Layout(), [mark.join(("id", "body", "date"))], "a.csv")
    assert f"--delimiter {mark!r}" in raised.value.hint


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.timezones()))
def test_a_time_with_a_zone_is_that_moment_whatever_zone_is_declared(moment: datetime) -> None:
    read = TimeParser(BERLIN, None)
    assert read(moment) == read(moment.isoformat()) == moment.astimezone(UTC)


@pytest.mark.parametrize("value", ["2026-07-01T12:00:00", datetime(2026, 7, 1, 12)])
def test_a_time_without_a_zone_takes_the_declared_one_or_is_refused(value: Any) -> None:
    assert TimeParser(BERLIN, None)(value) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    with pytest.raises(TimeRefused, match="no zone") as raised:
        TimeParser(None, None)(value)
    assert "--timezone" in raised.value.hint


def test_a_date_begins_in_the_declared_zone() -> None:
    assert TimeParser(BERLIN, None)(date(2026, 7, 1)) == datetime(2026, 6, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "readings", "advised"),
    [
        ("4/8/2016", 2, ["'%d/%m/%Y' or '%m/%d/%Y'"]),
        ("31/8/2016", 1, ["'%d/%m/%Y'"]),
        ("8-31-16", 1, ["'%m-%d-%y'"]),
        ("4.8.2016 17:05", 2, ["'%d.%m.%Y %H:%M'"]),
        ("8/31/2016 5:05:09 PM", 1, ["'%m/%d/%Y %I:%M:%S %p'"]),
        ("8/31/2016 5:05pm", 1, ["'%m/%d/%Y %I:%M%p'"]),
        ("yesterday", 0, ["--time-format", "--time"]),
    ],
)
def test_what_reads_two_ways_is_refused_and_the_format_that_reads_it_is_advised(
    written: str, readings: int, advised: list[str]
) -> None:
    with pytest.raises(TimeRefused) as raised:
        TimeParser(None, None)(written)
    assert raised.value.readings == readings
    assert all(each in raised.value.hint for each in advised)


@pytest.mark.parametrize("format_", ["%d/%m/%Y", "%m/%d/%Y"])
def test_the_advised_format_reads_it(format_: str) -> None:
    found = TimeParser(UTC, format_)(" 4/8/2016 ")
    assert (found.day, found.month) == ((4, 8) if format_.startswith("%d") else (8, 4))
    with pytest.raises(TimeRefused, match="declared format"):
        TimeParser(UTC, format_)("2016-08-04")


@pytest.mark.parametrize("value", [1_700_000_000, 1.5, True, b"2026-01-01", ["2026-01-01"]])
def test_a_number_is_no_time(value: Any) -> None:
    with pytest.raises(TimeRefused):
        TimeParser(UTC, None)(value)


def test_a_time_that_is_out_of_range_in_utc_is_refused() -> None:
    with pytest.raises(TimeRefused, match="out of range"):
        TimeParser(None, None)(datetime.min.replace(tzinfo=timezone(timedelta(hours=5))))
