"""When a source is due: cron lines and intervals as APScheduler's triggers, in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

DEFAULT_EVERY = timedelta(minutes=15)
SILENCE = timedelta(minutes=1)
ON_TIME = timedelta(seconds=30)
"""A run that began so soon after its time was not missed."""

_FIELDS = ("minute", "hour", "day", "month", "weekday")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def trigger_of(schedule: str | None, every: timedelta | None) -> BaseTrigger:
    """The trigger of a source's rhythm, in UTC. Raises ValueError."""
    if schedule is None:
        return IntervalTrigger(seconds=(every or DEFAULT_EVERY).total_seconds(), timezone=UTC)
    return cron_trigger(schedule)


def cron_trigger(expression: str) -> BaseTrigger:
    """A crontab line as cron reads it: Sunday is 0 or 7, and of day and weekday, when both are
    given, either is enough (crontab(5)). APScheduler counts from Monday and asks for both.

    Raises ValueError with a sentence that names the field.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        count = f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
        raise ValueError(
            f"{expression!r} has {count}; a cron line has 5 ({', '.join(_FIELDS)}),"
            ' like "*/15 * * * *"'
        )
    for name, text in zip(_FIELDS, fields, strict=True):
        _require_valid(name, text, expression)
    minute, hour, day, month, weekday = fields
    names = _weekdays(weekday)

    def at(day: str, weekday: str) -> CronTrigger:
        return CronTrigger(
            minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=UTC
        )

    either = day != "*" and names != "*"
    trigger = OrTrigger([at(day, "*"), at("*", names)]) if either else at(day, names)
    if trigger.get_next_fire_time(None, datetime.now(UTC)) is None:
        raise ValueError(f"{expression!r} names a day that never comes")
    return trigger


def next_times(trigger: BaseTrigger, now: datetime, count: int) -> list[datetime]:
    """The next times at which it fires, in UTC."""
    times: list[datetime] = []
    last = None
    while len(times) < count:
        last = trigger.get_next_fire_time(last, now if last is None else last)
        if last is None:
            break
        times.append(last.astimezone(UTC))
    return times


def missed_times(trigger: BaseTrigger, since: datetime, now: datetime) -> list[datetime]:
    """Times between the last run and now at which it should have run, a thousand at most.

    An interval is kept loosely (a long run takes the place of the next ones): only silence for
    three intervals, and a minute at least, is worth a word.
    """
    if isinstance(trigger, IntervalTrigger):
        step = trigger.interval
        if now - since <= max(3 * step, SILENCE):
            return []
        return [since + n * step for n in range(1, min(1000, (now - since) // step))]
    times: list[datetime] = []
    due = trigger.get_next_fire_time(since, since)
    while due is not None and due < now - ON_TIME and len(times) < 1000:
        times.append(due.astimezone(UTC))
        due = trigger.get_next_fire_time(due, due)
    return times


def _require_valid(name: str, text: str, expression: str) -> None:
    try:
        if name == "weekday":
            _weekdays(text)
        else:
            CronTrigger(**{name: text}, timezone=UTC)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{expression!r}: the {name} {text!r} is not valid: {error}") from None


def _weekdays(field: str) -> str:
    """Every weekday by name: ranges and steps count from Sunday, as cron's do."""
    if field in ("*", "?"):
        return "*"
    days: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0-6" if span == "*" else span).partition("-")
        start = _weekday(first)
        end = _weekday(last) if last else (6 if step else start)
        if end < start:
            end += 7  # "fri-mon" goes over the week's end
        days.update(d % 7 for d in range(start, end + 1, int(step or 1)))
    return ",".join(_DAYS[d] for d in sorted(days))


def _weekday(text: str) -> int:
    if text[:3] in _DAYS:
        return _DAYS.index(text[:3])
    if not text.isdecimal() or int(text) > 7:
        raise ValueError(f"{text!r} is no weekday (0 to 7, or sun to sat)")
    return int(text)
