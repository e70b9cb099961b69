"""Which column is what, and how its times read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any

from worker.errors import ConfigurationError
from worker.sources.rows.ids import USUAL
from worker.sources.rows.layout import CONTENT_ID, ROW_ID, Layout

TEXT_NAMES = ("text", "body", "content", "review", "comment", "message", "title")
TIME_NAMES = ("created_at", "published_at", "timestamp", "date", "time")


HEADER_SHOWN = 60
"""Characters of a header that was read as one column."""

TIME_SHOWN = 40
"""Characters of a time that cannot be read."""

_OFFSET = re.compile(r"[+-]\d\d:?\d\d$|Z$")
_SPACE_BEFORE_OFFSET = re.compile(r" (?=[+-]\d\d:?\d\d$)")
_NAMED_MONTHS = ("%d-%b-%y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
"""Formats that read only one way. 8/4/2016 does not: it needs time_format."""


class RowRefused(ValueError):
    """This row cannot become a record; the message is the reason, for quarantine."""


class TimeRefused(RowRefused):
    """Its time cannot be read: the row's fault, or the layout's if every row is so. `hint` says
    what would read this one; `readings`, in how many ways it could be read."""

    def __init__(self, message: str, hint: str = "", readings: int = 0) -> None:
        super().__init__(message)
        self.hint = hint
        self.readings = readings


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one file or table, by name, as chosen."""

    text: str
    id: str | None
    """None: the id is derived."""
    time: str | None
    author: str | None
    language: str | None
    tags: tuple[str, ...]

    def names(self) -> list[str]:
        """Every column that is read, once."""
        single = (self.id, self.text, self.time, self.author, self.language)
        return list(dict.fromkeys([n for n in single if n] + list(self.tags)))


def choose(layout: Layout, available: Sequence[str], where: str) -> Columns:
    """Pick columns: as configured, else by the usual names, whatever their case.

    Raises ConfigurationError when a named column is missing or no text column can be found.
    """
    by_lower = {name.lower(): name for name in reversed(available)}

    def named(wanted: str | None) -> str | None:
        if wanted is None or wanted in available:
            return wanted
        raise ConfigurationError(
            f"{where} has no column {wanted!r}.", hint=f"Its columns are: {', '.join(available)}."
        )

    def usual(names: Sequence[str]) -> str | None:
        return next((by_lower[name] for name in names if name in by_lower), None)

    text = named(layout.text) or usual(TEXT_NAMES)
    if text is None and len(available) == 1 and (mark := _delimiter_in(available[0])):
        raise ConfigurationError(
            f"{where} has one column, {available[0][:HEADER_SHOWN]!r}. Is {mark!r} the delimiter?",
            hint=f"Say --delimiter {mark!r} (delimiter in a configured source).",
        )
    if text is None:
        raise ConfigurationError(
            f"{where} has no column with a usual name for the text ({', '.join(TEXT_NAMES)}).",
            hint='Say which it is: --text NAME, or text = "NAME" in the source. '
            f"Its columns are: {', '.join(available)}.",
        )
    # The words mean the rules, also where a column has such a name: `content` is a usual text.
    derived = layout.id in (CONTENT_ID, ROW_ID)
    return Columns(
        text=text,
        id=None if derived else named(layout.id) or usual(USUAL),
        time=named(layout.time) or usual(TIME_NAMES),
        author=named(layout.author) or usual(("author",)),
        language=named(layout.language) or usual(("language", "lang")),
        tags=tuple(filter(None, map(named, layout.tags))),
    )


def _delimiter_in(name: str) -> str | None:
    return next((mark for mark in ";\t|," if mark in name), None)


class TimeParser:
    """ISO 8601, RFC 2822, named months, or the format that was declared.

    A time without a zone takes the declared one and is refused without it.
    """

    def __init__(self, zone: tzinfo | None, time_format: str | None) -> None:
        self._zone = zone
        self._format = time_format

    def __call__(self, value: Any) -> datetime:
        moment = value if isinstance(value, datetime) else self._read(value)
        if moment.tzinfo is UTC:
            return moment
        if moment.tzinfo is None:
            if self._zone is None:
                raise TimeRefused(
                    f"the time {_shown(value)} has no zone",
                    "Say in which zone such times are: --timezone UTC, or Europe/Berlin"
                    ' (timezone = "UTC" in a configured source).',
                )
            moment = moment.replace(tzinfo=self._zone)
        try:
            return moment.astimezone(UTC)
        except (OverflowError, ValueError):
            raise TimeRefused("time out of range") from None

    def _read(self, value: Any) -> datetime:
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day)
        if not isinstance(value, str):
            raise TimeRefused(f"a {type(value).__name__} is no time")
        if self._format:
            return _strptime(value.strip(), self._format)
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return _unusual_time(value.strip(), has_zone=self._zone is not None)


def _unusual_time(text: str, *, has_zone: bool) -> datetime:
    try:
        return datetime.fromisoformat(_SPACE_BEFORE_OFFSET.sub("", text))
    except ValueError:
        pass
    for pattern in _NAMED_MONTHS:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        also = "" if has_zone or _OFFSET.search(text) else " --timezone UTC"
        patterns = _formats_of(text)
        formats = " or ".join(f"'{pattern}'" for pattern in patterns)
        advice = (
            f"Say how to read such times: --time-format {formats}{also}"
            if patterns
            else "If these are times, pass --time-format; otherwise name another column with --time"
        )
        raise TimeRefused(
            f"the time {_shown(text)} reads more than one way, or none",
            f"{advice} (time_format, timezone and time in a configured source).",
            readings=len(patterns),
        ) from None


def _formats_of(text: str) -> list[str]:
    """Formats that might read a time: day first and month first, with as much of a clock as it
    has, if they read it."""
    date, _, clock = text.partition(" ")
    separator = next((mark for mark in "/.-" if mark in date), "/")
    year = "%Y" if re.search(r"\d{4}", date) else "%y"
    colons = clock.count(":")
    rest = "" if not clock else " %H:%M" + (":%S" if colons > 1 else "")
    if re.search(r"[ap]m$", clock, re.IGNORECASE):
        rest = rest.replace("%H", "%I") + (" %p" if " " in clock else "%p")
    both = [separator.join((*parts, year)) + rest for parts in (("%d", "%m"), ("%m", "%d"))]
    return [pattern for pattern in both if _reads(pattern, text)]


def _reads(pattern: str, text: str) -> bool:
    try:
        datetime.strptime(text, pattern)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    return repr(str(value)[:TIME_SHOWN])


def _strptime(text: str, pattern: str) -> datetime:
    try:
        return datetime.strptime(text, pattern)
    except ValueError:
        raise TimeRefused(
            f"the time {_shown(text)} is not in the declared format {pattern!r}",
            "Mend --time-format (time_format in a configured source).",
        ) from None
