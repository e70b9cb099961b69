"""Times at which a source should have run and did not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from worker.schedule import Schedule

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday


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
