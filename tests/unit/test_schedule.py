from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.cron import cron_trigger, trigger_of

SUNDAY = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def next_after(expression: str, moment: datetime) -> datetime:
    found = cron_trigger(expression).get_next_fire_time(None, moment)
    assert isinstance(found, datetime)
    return found


@pytest.mark.parametrize("sunday", ["0", "7", "sun", "SUN"])
def test_weekday_zero_and_seven_are_sunday_as_in_every_crontab(sunday: str) -> None:
    assert next_after(f"0 15 * * {sunday}", SUNDAY) == SUNDAY.replace(hour=15)


def test_a_range_of_weekdays_counts_from_monday_to_friday() -> None:
    assert next_after("0 9 * * 1-5", SUNDAY) == datetime(2026, 11, 23, 9, tzinfo=UTC)


def test_a_range_over_the_weekend() -> None:
    assert next_after("0 15 * * fri-mon", SUNDAY).day == 22


def test_day_or_weekday_when_both_are_given() -> None:
    assert next_after("0 0 1 * 3", SUNDAY) == datetime(2026, 11, 25, tzinfo=UTC)
    assert next_after("0 0 24 * 3", SUNDAY) == datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong", ["* * * *", "61 * * * *", "0 0 * * 8", "every day", "", "0 0 31 2 *"]
)
def test_a_wrong_expression_is_refused_with_a_sentence(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"a cron line has 5|is not valid|never comes"):
        trigger_of(wrong, None)


def test_an_interval() -> None:
    found = trigger_of(None, timedelta(seconds=30)).get_next_fire_time(SUNDAY, SUNDAY)
    assert found == SUNDAY + timedelta(seconds=30)
