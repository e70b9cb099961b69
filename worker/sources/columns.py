"""Rows -> records: which column is what, times, ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any

from worker.clean import clean, storable
from worker.errors import ConfigurationError
from worker.log import get_logger
from worker.records import Record
from worker.sources.identity import ANY, columns_digest
from worker.sources.ids import USUAL, IdRule
from worker.sources.layout import CONTENT_ID, ROW_ID, Layout

log = get_logger(__name__)

TEXT_NAMES = ("text", "body", "content", "review", "comment", "message", "title")
TIME_NAMES = ("created_at", "published_at", "timestamp", "date", "time")

MAX_ID_BYTES = 1024
"""A longer id is refused: PostgreSQL's index would (2,704 bytes), and it is no id."""

LEFT_SHOWN = 6
"""Columns that are named of those that are not kept."""

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


Chosen = Callable[[IdRule, str, Columns, tuple[str, ...]], None]
"""Is told of a file: the rule of its ids, its name, its columns as chosen, and all that it has."""


def unsaid(rule: IdRule, file: str, columns: Columns, available: tuple[str, ...]) -> None:
    """For callers who do not ask."""


@dataclass(slots=True)
class RowMapper:
    """Makes records of rows, given as a way to get a column's value by name."""

    columns: Columns
    layout: Layout
    file: str
    """Goes into ids that are derived from the content; "" outside files."""
    _parse_time: Callable[[Any], datetime] = field(init=False)

    def __post_init__(self) -> None:
        self._parse_time = TimeParser(self.layout.timezone, self.layout.time_format)

    def record(self, row: Mapping[str, Any], number: int = 0) -> Record:
        """`number` is the row's place in its file. Raises RowRefused."""
        c = self.columns
        value = row.get(c.text)
        if type(value) is not str:
            if c.text not in row:
                raise RowRefused(f"no {c.text!r}")
            value = _as_text(value, c.text)
        text, content_hash, original_hash, flags, skip_reason = clean(value)
        moment = row.get(c.time) if c.time else None
        return Record(
            self._id(row, number),
            text,
            content_hash,
            self._parse_time(moment) if moment else None,
            _optional(row, c.author) if c.author else None,
            _optional(row, c.language) if c.language else None,
            _tags(row, c.tags) if c.tags else None,
            flags,
            skip_reason,
            original_hash,
        )

    def _id(self, row: Mapping[str, Any], number: int) -> str:
        name = self.columns.id
        if name is None:
            by_row = self.layout.id == ROW_ID
            return f"{self.file}:{number}" if by_row else _derived_id(self.file, row)
        value = row.get(name)
        # A float may be a gap in a column of numbers: NaN, which equals nothing, itself included.
        if value is None or value == "" or value != value or isinstance(value, bool | dict | list):  # noqa: PLR0124
            raise RowRefused(f"no usable id in {name!r}")
        found = value if type(value) is str else str(value)
        if found != storable(found):
            raise RowRefused(f"an id in {name!r} that PostgreSQL cannot keep: NUL or half a pair")
        if not found or found.isspace():
            raise RowRefused(f"blank id in {name!r}")
        if len(found) * 4 > MAX_ID_BYTES and len(found.encode()) > MAX_ID_BYTES:
            raise RowRefused(f"id longer than {MAX_ID_BYTES} bytes")
        return found


def told(rule: IdRule, file: str, columns: Columns, available: Sequence[str]) -> str:
    """The choice in a sentence, with what else could have been one."""
    derived = (
        "each row's place in the file" if rule.rule == ROW_ID else "the row (equal rows are one)"
    )
    chosen = repr(columns.id) if columns.id else derived
    why = f", {rule.why}" if rule.why else ""
    parts = [
        f"id from {chosen}{why}{_others(rule.others, columns.id)}",
        f"text from {columns.text!r}{_others(_usual(TEXT_NAMES, available), columns.text)}",
        f"time from {columns.time!r}{_others(_usual(TIME_NAMES, available), columns.time)}"
        if columns.time
        else "no time: records count on the day of their arrival",
    ]
    if left := [name for name in available if name not in columns.names()]:
        shown = ", ".join(map(repr, left[:LEFT_SHOWN]))
        more = f" and {len(left) - LEFT_SHOWN} more" if len(left) > LEFT_SHOWN else ""
        parts.append(f"not kept: {shown}{more}")
    return f"{file}: {'; '.join(parts)}."


def _usual(names: Sequence[str], available: Sequence[str]) -> list[str]:
    return [name for name in available if name.lower() in names]


def _others(names: Iterable[str], chosen: str | None) -> str:
    left = [repr(name) for name in names if name != chosen]
    return f" (there is also {', '.join(left)})" if left else ""


class FileMapping:
    """The columns of one file, chosen once its columns are known, and logged.

    Rows of JSON lines bring columns as they come; the choice is made again when a new one
    shows up. A layout that fits no row is the configuration's fault, not the rows'.
    """

    def __init__(
        self,
        layout: Layout,
        header: Sequence[str],
        *,
        file: str,
        chosen: Callable[[str, Columns, tuple[str, ...]], None] = lambda *_: None,
    ) -> None:
        """`chosen` is told of the file's name, its columns as chosen, and all that it has."""
        self._layout = layout
        self._file = file
        self._chosen = chosen
        self._seen: dict[str, None] = dict.fromkeys(header)
        self._open_ended = False
        self._misfit: ConfigurationError | None = None
        self._readings = 0
        self._fits = False
        self._mapper: RowMapper | None = None
        if header:
            self._mapper = self._choose()

    def grows(self, open_ended: bool) -> None:
        """Rows may bring columns that the header does not name, as JSON lines do."""
        self._open_ended = open_ended

    @property
    def identity(self) -> dict[str, str] | None:
        """See `worker.records.Page`; None while no row has told the columns."""
        if self._mapper is None:
            return None
        columns = self._mapper.columns
        rule = columns.id or self._layout.id or CONTENT_ID
        of = ANY if self._open_ended else columns_digest(self._seen)
        return {"id": rule, "text": columns.text, "columns": of}

    def record(self, row: Mapping[str, Any], number: int = 0) -> Record:
        """`number` is the row's place in its file. Raises RowRefused."""
        if self._mapper is None or (self._open_ended and not row.keys() <= self._seen.keys()):
            self._seen |= dict.fromkeys(row)
            try:
                self._mapper = self._choose()
            except ConfigurationError as error:
                self._misfit = error
                raise RowRefused(str(error)) from error
        try:
            record = self._mapper.record(row, number)
        except TimeRefused as error:
            # 4/8/2016 may be a day of April or of August; 31/8/2016 tells which.
            if self._misfit is None or 0 < error.readings < self._readings:
                self._readings = error.readings
                self._misfit = ConfigurationError(
                    f"{self._file}, column {self._mapper.columns.time!r}: {error}.",
                    hint=error.hint,
                )
            raise
        self._fits = True
        return record

    def raise_if_nothing_fits(self, accepted: Sequence[Record]) -> None:
        """Raise ConfigurationError when no row so far could be read, for the layout's sake."""
        if self._misfit and not self._fits and not accepted:
            raise self._misfit

    def _choose(self) -> RowMapper:
        layout = self._layout
        if self._mapper is not None:  # a better name for the text may come; the text does not move
            layout = replace(layout, text=self._mapper.columns.text)
        columns = choose(layout, list(self._seen), self._file)
        if self._mapper is None or self._mapper.columns != columns:
            self._chosen(self._file, columns, tuple(self._seen))
        return RowMapper(columns, self._layout, self._file)


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


def _as_text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    raise RowRefused(f"{name!r} is not text")


def _tags(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str] | None:
    """Trimmed: 'United ' is no other airline than 'United'."""
    found = ((name, (_optional(row, name) or "").strip()) for name in names)
    return {name: value for name, value in found if value} or None


def _optional(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    return None if value is None or value == "" else storable(str(value))


def _derived_id(file: str, row: Mapping[str, Any]) -> str:
    """From the file's name and the whole row: the same row in the same file is one record."""
    digest = blake2b(file.encode("utf-8", "surrogatepass"), digest_size=12)
    for name in sorted(row):
        digest.update(f"\0{name}\0{row[name]}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
