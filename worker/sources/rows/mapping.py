"""How the rows of one file or table become records, chosen once its columns are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

from worker.clean import clean, storable
from worker.errors import ConfigurationError
from worker.records import Record
from worker.sources.rows.columns import (
    TEXT_NAMES,
    TIME_NAMES,
    Columns,
    RowRefused,
    TimeParser,
    TimeRefused,
    choose,
)
from worker.sources.rows.identity import ANY, columns_digest
from worker.sources.rows.ids import IdRule
from worker.sources.rows.layout import CONTENT_ID, ROW_ID, Layout

LEFT_SHOWN = 6
"""Columns that are named of those that are not kept."""


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


class RecordMaker:
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

    def id_of(self, row: Mapping[str, Any], number: int = 0) -> str:
        """A row's id, whatever its text is. Raises RowRefused."""
        if self._mapper is None:
            raise RowRefused("its columns are not known")
        return self._mapper.id_of(row, number)

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


MAX_ID_BYTES = 1024
"""A longer id is refused: PostgreSQL's index would (2,704 bytes), and it is no id."""


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
            self.id_of(row, number),
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

    def id_of(self, row: Mapping[str, Any], number: int) -> str:
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
