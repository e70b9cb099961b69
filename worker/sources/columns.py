"""Rows -> records: which column is what, times, ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any

from worker.clean import clean, storable
from worker.errors import ConfigurationError
from worker.log import get_logger
from worker.records import Layout, Record

log = get_logger(__name__)

ID_NAMES = ("id",)
TEXT_NAMES = ("text", "body", "content", "review", "comment", "message", "title")
TIME_NAMES = ("created_at", "published_at", "timestamp", "date", "time")

MAX_ID_BYTES = 1024
"""A longer id is refused: PostgreSQL's index would (2,704 bytes), and it is no id."""

_SPACE_BEFORE_OFFSET = re.compile(r" (?=[+-]\d\d:?\d\d$)")
_NAMED_MONTHS = ("%d-%b-%y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
"""Formats that read only one way. 8/4/2016 does not: it needs time_format."""


class RowRefused(ValueError):
    """This row cannot become a record; the message is the reason, for quarantine."""


class TimeRefused(RowRefused):
    """Its time cannot be read: the row's fault, or the layout's if every row is so."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one file or table, by name, as chosen."""

    text: str
    id: str | None
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
    if text is None:
        raise ConfigurationError(
            f"{where} has no column with a usual name for the text ({', '.join(TEXT_NAMES)}).",
            hint='Say which it is: --text NAME, or text = "NAME" in the source. '
            f"Its columns are: {', '.join(available)}.",
        )
    return Columns(
        text=text,
        id=named(layout.id) or usual(ID_NAMES),
        time=named(layout.time) or usual(TIME_NAMES),
        author=named(layout.author) or usual(("author",)),
        language=named(layout.language) or usual(("language", "lang")),
        tags=tuple(filter(None, map(named, layout.tags))),
    )


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

    def record(self, row: Mapping[str, Any]) -> Record:
        """Raises RowRefused."""
        c = self.columns
        value = row.get(c.text)
        if type(value) is not str:
            if c.text not in row:
                raise RowRefused(f"no {c.text!r}")
            value = _as_text(value, c.text)
        text, content_hash, original_hash, flags, skip_reason = clean(value)
        moment = row.get(c.time) if c.time else None
        return Record(
            self._id(row),
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

    def _id(self, row: Mapping[str, Any]) -> str:
        name = self.columns.id
        if name is None:
            return _derived_id(self.file, row)
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


class FileMapping:
    """The columns of one file, chosen once its columns are known, and logged.

    Rows of JSON lines bring columns as they come; the choice is made again when a new one
    shows up. A layout that fits no row is the configuration's fault, not the rows'.
    """

    def __init__(self, layout: Layout, header: Sequence[str], *, file: str) -> None:
        self._layout = layout
        self._file = file
        self._seen: dict[str, None] = dict.fromkeys(header)
        self._open_ended = not header
        self._misfit: ConfigurationError | None = None
        self._fits = False
        self._mapper: RowMapper | None = None
        if header:
            self._mapper = self._choose()

    def record(self, row: Mapping[str, Any]) -> Record:
        """Raises RowRefused."""
        if self._mapper is None or (self._open_ended and not row.keys() <= self._seen.keys()):
            self._seen |= dict.fromkeys(row)
            try:
                self._mapper = self._choose()
            except ConfigurationError as error:
                self._misfit = error
                raise RowRefused(str(error)) from error
        try:
            record = self._mapper.record(row)
        except TimeRefused as error:
            self._misfit = ConfigurationError(
                f"{self._file}, column {self._mapper.columns.time!r}: {error}.",
                hint="Say how to read it: --timezone UTC and --time-format '%m/%d/%Y %H:%M' "
                "(timezone and time_format in a configured source).",
            )
            raise
        self._fits = True
        return record

    def raise_if_nothing_fits(self, accepted: Sequence[Record]) -> None:
        """Raise ConfigurationError when no row so far could be read, for the layout's sake."""
        if self._misfit and not self._fits and not accepted:
            raise self._misfit

    def _choose(self) -> RowMapper:
        columns = choose(self._layout, list(self._seen), self._file)
        if self._mapper is None or self._mapper.columns != columns:
            log.info(
                "columns.chosen",
                file=self._file,
                text=columns.text,
                id=columns.id or "derived from the row and the file's name",
                time=columns.time or "none",
            )
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
                raise TimeRefused("time without a zone (declare one: timezone)")
            moment = moment.replace(tzinfo=self._zone)
        try:
            return moment.astimezone(UTC)
        except (OverflowError, ValueError):
            raise TimeRefused("time out of range") from None

    def _read(self, value: Any) -> datetime:
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day)
        if not isinstance(value, str):
            raise TimeRefused("time is not text")
        if self._format:
            return _strptime(value.strip(), self._format)
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return _unusual_time(value.strip())


def _unusual_time(text: str) -> datetime:
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
        raise TimeRefused(
            "time in a format that reads more than one way, or none (declare it: time_format)"
        ) from None


def _strptime(text: str, pattern: str) -> datetime:
    try:
        return datetime.strptime(text, pattern)
    except ValueError:
        raise TimeRefused("time is not in the declared time_format") from None


def _as_text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    raise RowRefused(f"{name!r} is not text")


def _tags(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str] | None:
    return {name: value for name in names if (value := _optional(row, name)) is not None} or None


def _optional(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    return None if value is None or value == "" else storable(str(value))


def _derived_id(file: str, row: Mapping[str, Any]) -> str:
    """From the file's name and the whole row: the same row in the same file is one record."""
    digest = blake2b(file.encode("utf-8", "surrogatepass"), digest_size=12)
    for name in sorted(row):
        digest.update(f"\0{name}\0{row[name]}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
