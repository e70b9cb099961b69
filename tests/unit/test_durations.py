"""Durations and moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.durations import as_text, parse_duration, parse_moment


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30s", timedelta(seconds=30)),
        ("1.5h", timedelta(minutes=90)),
        (" 10 m ", timedelta(minutes=10)),
        ("0d", timedelta(0)),
    ],
)
def test_what_is_a_duration(written: str, meant: timedelta) -> None:
    assert parse_duration(written) == meant


@pytest.mark.parametrize(
    "written", ["", "30", "s", "-5m", "1e3s", "5 weeks", "10m30s", "nan s", "1.d", "9" * 400 + "d"]
)
def test_what_is_none_is_refused_and_quoted(written: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_duration(written)
    assert repr(written) in str(raised.value)


@example(1_000_001)
@given(st.integers(0, 10**9))
def test_what_is_shown_reads_as_the_same(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(as_text(duration)) == duration


@pytest.mark.parametrize(
    ("seconds", "shown"), [(900, "15m"), (129_600, "36h"), (172_800, "2d"), (90, "90s"), (0, "0s")]
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: int, shown: str) -> None:
    assert as_text(timedelta(seconds=seconds)) == shown


def test_a_moment_without_a_zone_is_utc_and_one_with_a_zone_keeps_it() -> None:
    assert parse_moment("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert parse_moment("2026-01-31T12:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    there = timezone(timedelta(hours=2))
    assert parse_moment("2026-01-31T12:00+02:00") == datetime(2026, 1, 31, 12, tzinfo=there)


def test_a_duration_is_how_long_ago() -> None:
    before = datetime.now(UTC)
    week_ago = parse_moment("7d")
    assert before <= week_ago + timedelta(days=7) <= datetime.now(UTC)


@pytest.mark.parametrize("written", ["soon", "2026-02-30", "9999999d", "", "2026-01-31T25:00"])
def test_what_is_no_moment_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        parse_moment(written)
