"""When a source is due: a cron line or an interval, in the source's time zone. Pure.

Where clocks change, a line that names its minute and hour keeps to Debian's cron(8): a time that
does not exist runs once, right after the change, and one that comes twice runs once. A line with
`*` for the minute or the hour follows real time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice, takewhile

from cronsim import CronSim, CronSimError

from worker.durations import as_text

DEFAULT_EVERY = timedelta(minutes=15)
LONGEST = timedelta(days=366)
"""Between two runs of an interval."""
SILENCE = timedelta(minutes=1)
SILENT_TIMES = 3
ON_TIME = timedelta(seconds=30)
"""A run that began so soon after its time was not missed."""

FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of the month": "1 to 31, or L for the last",
    "month": "1 to 12, or jan to dec",
    "weekday": "0 to 7, or sun to sat; Sunday is 0 and 7",
}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CRON_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FULL_NAME = re.compile("|".join(day.upper() for day in WEEKDAYS))
_RANGE = re.compile(r"(?<![^,])([0-7]|[A-Z]{3})-([0-7]|[A-Z]{3})(?:/(\d+))?(?![^,])")
_NO_TIME_LEFT = 1000
"""After so many times in a row that fall on a day off, there is none."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron line, else an interval; no time falls on a day off."""

    cron: str | None = None
    every: timedelta = DEFAULT_EVERY
    zone: tzinfo = UTC
    days_off: frozenset[date | str] = frozenset()
    """Dates, and weekdays by their three letters, in `zone`."""

    def allows(self, moment: datetime) -> bool:
        day = moment.astimezone(self.zone).date()
        return not self.days_off & {day, WEEKDAYS[day.weekday()][:3]}

    def after(self, moment: datetime) -> datetime:
        """The first time after `moment`, in UTC. Raises ValueError where no time is left."""
        for _ in range(_NO_TIME_LEFT):
            found = self._after(moment)
            if self.allows(found):
                return found
            moment = self._end_of_day(found)
        raise ValueError("`except` leaves no day on which it runs")

    def next(self, now: datetime, count: int) -> list[datetime]:
        """The next times, in UTC."""
        return list(islice(self._times(now), count))

    def missed(self, since: datetime, now: datetime) -> list[datetime]:
        """Times between the last run and now at which it should have run, a thousand at most.

        An interval is kept loosely (a long run takes the place of the next ones): only silence
        for three of its times, and a minute at least, is worth a word.
        """
        if self.cron is None:
            loud = max(self.next(since, SILENT_TIMES)[-1], since + SILENCE)
            if now <= loud:
                return []
        until = now - (ON_TIME if self.cron else self.every)
        return list(islice(takewhile(lambda at: at <= until, self._times(since)), 1000))

    def __str__(self) -> str:
        words = self.cron or f"every {as_text(self.every)}"
        zone = "" if self.zone is UTC or self.cron is None else f" {self.zone}"
        spared = ", ".join(sorted(map(str, self.days_off)))
        return words + zone + (f", except {spared}" if spared else "")

    def _times(self, since: datetime) -> Iterator[datetime]:
        while True:
            since = self.after(since)
            yield since

    def _after(self, moment: datetime) -> datetime:
        if self.cron is None:
            return moment + self.every
        local = CronSim(_as_cronsim(self.cron), moment.astimezone(self.zone))
        # Two times that do not exist may both come down to the end of the gap.
        return next(at for each in local if (at := each.astimezone(UTC)) > moment)

    def _end_of_day(self, moment: datetime) -> datetime:
        """The last moment before the next day: an interval then begins with that day."""
        day = moment.astimezone(self.zone).date() + timedelta(days=1)
        midnight = datetime.combine(day, time(), self.zone).astimezone(UTC)
        return midnight - (timedelta(microseconds=1) if self.cron else self.every)


def require_cron_line(line: str) -> None:
    """Raises ValueError with a sentence that names the field."""
    fields = line.split()
    if len(fields) != len(FIELDS):
        count = f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
        raise ValueError(
            f'{line!r} has {count}; a cron line has 5 ({", ".join(FIELDS)}), like "*/15 * * * *"'
        )
    for place, (name, allowed) in enumerate(FIELDS.items()):
        alone = ["*"] * len(FIELDS)
        alone[place] = fields[place]
        try:
            CronSim(_as_cronsim(" ".join(alone)), datetime.now(UTC))
        except CronSimError:
            told = f"{line!r}: the {name} {fields[place]!r} is not valid ({allowed})"
            raise ValueError(told) from None
    try:
        next(CronSim(_as_cronsim(line), datetime.now(UTC)))
    except (CronSimError, StopIteration):
        raise ValueError(f"{line!r} names a day that never comes") from None


def days_off_of(words: Iterable[str]) -> frozenset[date | str]:
    """Days on which a source is not read: dates like 2026-12-25, and weekdays. Raises
    ValueError."""
    return frozenset(map(_day_off, words))


def _day_off(word: str) -> date | str:
    name = word.lower()
    if any(name in (day, day[:3]) for day in WEEKDAYS):
        return name[:3]
    try:
        return date.fromisoformat(word)
    except ValueError:
        told = f"{word!r} is neither a date like 2026-12-25 nor a weekday like sat"
        raise ValueError(told) from None


def _as_cronsim(line: str) -> str:
    """As cronsim reads it: weekdays in three letters, `last` as L, and a range over the week's end
    as its days."""
    minute, hour, day, month, weekday = line.upper().split()
    short = _FULL_NAME.sub(lambda name: name[0][:3], weekday.replace("?", "*"))
    days = _RANGE.sub(_days_over_the_weekend, short)
    return f"{minute} {hour} {day.replace('LAST', 'L')} {month} {days}"


def _days_over_the_weekend(found: re.Match[str]) -> str:
    """FRI-MON as 5,6,0,1; a range within the week stays as it is."""
    first, last = (_CRON_DAYS.index(d) if d in _CRON_DAYS else d for d in found.group(1, 2))
    if not str(first).isdigit() or not str(last).isdigit() or int(first) <= int(last):
        return found[0]
    days = range(int(first), int(last) + 8, int(found[3] or 1))
    return ",".join(str(day % 7) for day in days)
