"""When a source is due, and when it was and did not run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from worker.schedule import Schedule, days_off_of, require_cron_line
from worker.sources.config import SourceConfig

SUNDAY = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""Of a Monday."""
BERLIN = ZoneInfo("Europe/Berlin")
SUMMER_BEGINS = datetime(2026, 3, 29, tzinfo=BERLIN)
"""At 2:00 clocks are set to 3:00."""
WINTER_BEGINS = datetime(2026, 10, 25, tzinfo=BERLIN)
"""At 3:00 clocks are set to 2:00."""


def next_after(line: str, moment: datetime) -> datetime:
    require_cron_line(line)
    return Schedule(line).after(moment)


def on(day: datetime, line: str) -> list[str]:
    """Times of a day in Berlin, with the offset of each."""
    times = Schedule(line, zone=BERLIN).next(day - timedelta(seconds=1), 30)
    local = [at.astimezone(BERLIN) for at in times]
    return [f"{at:%H:%M%z}"[:-2] for at in local if at.date() == day.date()]


@pytest.mark.parametrize("sunday", ["0", "7", "sun", "SUN"])
def test_weekday_zero_and_seven_are_sunday_as_in_every_crontab(sunday: str) -> None:
    assert next_after(f"0 15 * * {sunday}", SUNDAY) == SUNDAY.replace(hour=15)


def test_a_range_of_weekdays_counts_from_monday_to_friday() -> None:
    assert next_after("0 9 * * 1-5", SUNDAY) == datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.mark.parametrize("days", ["fri-mon", "5-1", "sat-sun", "sun-mon", "Friday-Monday"])
def test_a_range_over_the_weekend(days: str) -> None:
    assert next_after(f"0 15 * * {days}", SUNDAY).day == 22


@pytest.mark.parametrize("days", ["fri-mon/2", "5-1/2", "sun,fri"])
def test_a_step_over_the_weekend(days: str) -> None:
    times = Schedule(f"0 15 * * {days}").next(SUNDAY, 4)
    assert [at.day for at in times] == [22, 27, 29, 4]


def test_the_last_day_of_the_month() -> None:
    assert next_after("0 0 last * *", SUNDAY) == next_after("0 0 L * *", SUNDAY)
    assert next_after("0 0 L * *", SUNDAY) == datetime(2026, 11, 30, tzinfo=UTC)


def test_day_or_weekday_when_both_are_given() -> None:
    assert next_after("0 0 1 * 3", SUNDAY) == datetime(2026, 11, 25, tzinfo=UTC)
    assert next_after("0 0 24 * 3", SUNDAY) == datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    ["* * * *", "61 * * * *", "0 0 * * 8", "every day", "", "0 0 31 2 *", "0 0 * * xyz-mon"],
)
def test_a_wrong_expression_is_refused_with_a_sentence(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"a cron line has 5|is not valid|never comes"):
        require_cron_line(wrong)


def test_the_field_that_is_wrong_is_named() -> None:
    with pytest.raises(ValueError, match=r"the minute '61' is not valid \(0 to 59\)"):
        require_cron_line("61 * * * *")


def test_an_interval() -> None:
    found = Schedule(every=timedelta(seconds=30)).after(SUNDAY)
    assert found == SUNDAY + timedelta(seconds=30)


def test_a_time_that_does_not_exist_runs_once() -> None:
    assert on(SUMMER_BEGINS, "30 2 * * *") == ["03:00+02"]
    assert on(SUMMER_BEGINS, "0 2,3 * * *") == ["03:00+02"]


def test_a_time_that_comes_twice_runs_once() -> None:
    assert on(WINTER_BEGINS, "30 2 * * *") == ["02:30+02"]
    second = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN)
    assert Schedule("30 2 * * *", zone=BERLIN).after(second).astimezone(BERLIN).day == 26


def test_a_line_for_every_hour_follows_real_time() -> None:
    assert len(on(SUMMER_BEGINS, "0 * * * *")) == 23
    assert len(on(WINTER_BEGINS, "0 * * * *")) == 25


def test_no_time_falls_on_an_exception() -> None:
    spared = days_off_of(["2026-12-25", "sat", "Sunday"])
    nightly = Schedule("30 2 * * *", zone=BERLIN, days_off=spared)
    days = {at.astimezone(BERLIN).date() for at in nightly.next(SUNDAY, 40)}
    assert date(2026, 12, 25) not in days
    assert date(2026, 12, 24) in days
    assert all(day.weekday() < 5 for day in days)


def test_an_interval_goes_on_with_the_day_after_an_exception() -> None:
    hourly = Schedule(every=timedelta(hours=1), zone=BERLIN, days_off=days_off_of(["mon"]))
    late = datetime(2026, 11, 22, 23, 30, tzinfo=BERLIN)
    assert hourly.after(late) == datetime(2026, 11, 24, tzinfo=BERLIN)


def test_silence_is_counted_in_times_and_not_in_hours() -> None:
    office = Schedule(every=timedelta(minutes=15), days_off=days_off_of(["sat", "sun"]))
    friday, monday = datetime(2026, 11, 20, 23, 50, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
    assert office.missed(friday, monday + timedelta(minutes=20)) == []
    assert office.missed(friday, monday + timedelta(hours=2)) != []


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        (Schedule(), "every 15m"),
        (Schedule(every=timedelta(seconds=90)), "every 90s"),
        (Schedule("0 3 * * *", zone=BERLIN), "0 3 * * * Europe/Berlin"),
        (Schedule(days_off=days_off_of(["sat"])), "every 15m, except sat"),
    ],
)
def test_a_schedule_as_people_read_it(schedule: Schedule, told: str) -> None:
    assert str(schedule) == told


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"except": ["sunny"]}, "neither a date like 2026-12-25 nor a weekday"),
        ({"every": "10m", "jitter": "-5s"}, "is no duration"),
        ({"every": "10m", "jitter": -5}, "greater than or equal to 0"),
        ({"every": "300000d"}, "366d or less"),
        ({"except": ["christmas"]}, "neither a date like 2026-12-25 nor a weekday"),
        ({"except": "sat"}, "write a list"),
        ({"except": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}, "leaves no day"),
        ({"schedule": "0 3 * * sat", "except": ["sat"]}, "leaves no day"),
        ({"every": "10m", "jitter": "10m"}, "shorter than the time between two runs"),
        ({"schedule": "0 * * * *", "jitter": "2h"}, "shorter than the time between two runs"),
        ({"pause_after": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SourceConfig.model_validate({"kind": "file", "name": "reviews", **wrong})


def test_times_of_a_cron_line_that_passed() -> None:
    hourly = Schedule("0 * * * *")
    missed = hourly.missed(NOON - timedelta(hours=3, minutes=30), NOON)
    assert [time.hour for time in missed] == [9, 10, 11]
    assert hourly.missed(NOON - timedelta(minutes=50), NOON) == []


def test_a_run_that_is_a_little_late_was_not_missed() -> None:
    hourly = Schedule("0 * * * *")
    late = NOON + timedelta(seconds=20)
    assert hourly.missed(NOON - timedelta(minutes=30), late) == []
    later = NOON + timedelta(seconds=40)
    assert hourly.missed(NOON - timedelta(minutes=30), later) == [NOON]


def test_an_interval_is_kept_loosely() -> None:
    often = Schedule(every=timedelta(seconds=10))
    assert often.missed(NOON - timedelta(seconds=50), NOON) == []
    assert len(often.missed(NOON - timedelta(minutes=10), NOON)) == 59
    assert len(often.missed(NOON - timedelta(days=30), NOON)) <= 1000


def test_the_next_times() -> None:
    weekdays = Schedule("30 6 * * 1-5")
    friday = NOON + timedelta(days=4)
    times = weekdays.next(friday, 2)
    assert [(time.weekday(), time.hour, time.minute) for time in times] == [(0, 6, 30), (1, 6, 30)]
