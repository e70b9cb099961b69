"""Reading one file: lines of CSV, TSV and JSON, or a table with an index of its own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import IO, Any

from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Page, Position, Refusal
from worker.sources.files import storage, table, unpacking
from worker.sources.files.id_rules import IdRules
from worker.sources.files.lines import (
    LineReader,
    Row,
    csv_header,
    csv_rows,
    is_read_by_line,
    jsonl_rows,
    recoded,
)
from worker.sources.files.pages import PAGE_ROWS, PageBuilder
from worker.sources.files.parquet import ParquetTable
from worker.sources.files.storage import Blob
from worker.sources.files.workbook import Workbook
from worker.sources.rows import identity, ids
from worker.sources.rows.layout import Layout

log = get_logger(__name__)

UNREADABLE: tuple[type[Exception], ...] = (*unpacking.UNPACK_ERRORS, UnicodeError)

DELIMITERS = {"csv": ",", "tsv": "\t"}

LINES = ("csv", "tsv", "jsonl")
"""Formats that are read from their start on, line by line."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How the bytes of files become rows."""

    encoding: str = "utf-8-sig"
    delimiter: str | None = None
    sheet: str | None = None
    """Of XLSX; None is the first one."""
    page_rows: int = PAGE_ROWS
    bomb_bytes: int = unpacking.BOMB_BYTES
    """See `unpacking.BOMB_RATIO`."""
    is_at_rest: Callable[[Blob], bool] = storage.is_at_rest
    """Is a file whose last line is open finished, and not being written?"""


class FileReader:
    """Reads files of one source, one by one."""

    def __init__(
        self, name: str, layout: Layout, options: FileOptions, tell: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._options = options
        self.id_rules = IdRules(name, layout, self.digest, tell)

    def columns_of(self, blob: Blob) -> str | None:
        """The digest of a file's columns; JSON lines are alike, whatever their rows bring. None for
        a file that cannot be read: the run will say so."""
        try:
            if blob.format not in LINES:
                bomb_bytes = self._options.bomb_bytes
                found = table.columns(blob, bomb_bytes, self._table_of(blob))
                return identity.columns_digest(found)
            with blob.open(self._options.bomb_bytes) as stream:
                header = self._header(self._line_reader(stream), blob)
        except (ConfigurationError, SourceUnavailable, OSError):
            return None
        return identity.ANY if header is None else identity.columns_digest(header)

    def digest(self, layout: Layout | None = None) -> str:
        layout = layout or self._layout
        o = self._options
        said = f"{layout.digest()}-{o.encoding}-{o.delimiter or ''}"
        return f"{said}-{o.sheet}" if o.sheet else said

    def pages(self, blob: Blob, position: Position, known: Position) -> Iterator[Page]:
        if blob.format in LINES:
            yield from self._lines(blob, position, known)
        else:
            mapping = partial(self.id_rules.of, blob, known)
            most = (self._options.page_rows, self._options.bomb_bytes)
            open_table = self._table_of(blob)
            yield from table.pages(blob, position, mapping, self.digest(), *most, open_table)

    def _table_of(self, blob: Blob) -> table.OpenTable:
        if blob.format == "parquet":
            return ParquetTable
        return partial(Workbook, sheet=self._options.sheet, bomb_bytes=self._options.bomb_bytes)

    def _first_rows(self, blob: Blob) -> Iterator[Mapping[str, Any]]:
        """A file's first rows, by a reading of their own; what is broken is left out."""
        with blob.open(self._options.bomb_bytes) as stream:
            reader = self._line_reader(stream)
            rows = self._rows(reader, blob, self._header(reader, blob))
            with contextlib.suppress(*UNREADABLE):
                for row in itertools.islice(rows, ids.SAMPLE_ROWS):
                    if not isinstance(row.values, Refusal):
                        yield row.values

    def _lines(self, blob: Blob, position: Position, known: Position) -> Iterator[Page]:
        with blob.open(self._options.bomb_bytes) as stream:
            reader = self._line_reader(stream)
            header = self._header(reader, blob)
            same = self._resume(reader, position)
            if same and "open_end" not in position:
                resumed, doubted = position.get("offset", 0) > 0, position.get("doubted", ())
                reading = position.get("reading", "") if resumed else token_hex(4)
                page = self._builder(blob, known, reader, header, reading, doubted)
                yield from self._pages_of(page, blob, reader, header)
                return
        with blob.open(self._options.bomb_bytes) as stream:
            reader = self._line_reader(stream)
            header = self._header(reader, blob)
            doubted = position.get("open_end", ()) if same else ()
            page = self._builder(blob, known, reader, header, token_hex(4), doubted)
            yield from self._pages_of(page, blob, reader, header)

    def _line_reader(self, stream: IO[bytes]) -> LineReader:
        if is_read_by_line(self._options.encoding):
            return LineReader(stream, self._options.encoding)
        return LineReader(recoded(stream, self._options.encoding), "utf-8")

    def _header(self, reader: LineReader, blob: Blob) -> list[str] | None:
        """None for JSON lines, whose rows name their columns themselves."""
        if blob.format == "jsonl":
            return None
        try:
            return csv_header(reader, self._separator(blob), blob.path)
        except UNREADABLE as error:
            raise ConfigurationError(f"{blob.path} cannot be read: {error}.") from error

    def _separator(self, blob: Blob) -> str:
        return self._options.delimiter or DELIMITERS[blob.format]

    def _resume(self, reader: LineReader, position: Position) -> bool:
        """Stand where the position says. False if what lies before it is no longer the same."""
        offset = position.get("offset", 0)
        if offset <= reader.offset:
            return not position or offset == reader.offset
        try:
            return reader.skip(offset, position["line"]) and reader.digest == position["digest"]
        except UNREADABLE:
            return False

    def _builder(
        self,
        blob: Blob,
        known: Position,
        reader: LineReader,
        header: list[str] | None,
        reading: str,
        doubted: Iterable[str],
    ) -> PageBuilder:
        columns = header
        if columns is None:  # of JSON lines: what the first rows have
            seen = dict.fromkeys(name for row in self._first_rows(blob) for name in row)
            columns = list(seen)
        mapping = self.id_rules.of(blob, known, columns, self._first_rows(blob))
        mapping.grows(header is None)
        rows = self._options.page_rows
        return PageBuilder(blob, reader, mapping, self.digest(), reading, doubted, rows)

    def _pages_of(
        self, page: PageBuilder, blob: Blob, reader: LineReader, header: list[str] | None
    ) -> Iterator[Page]:
        try:
            for row in self._rows(reader, blob, header):
                if page.is_full():
                    yield page.take()
                if row.open:
                    if not self._options.is_at_rest(blob):
                        # Half a row can look like a whole one: it stays unread until it is.
                        log.info("file.still_growing", file=blob.path, line=row.line)
                        yield page.take(growing=True)
                        return
                    page.end_is_open()
                page.add(row)
        except UNREADABLE as error:
            page.end_is_open()
            page.refuse(Refusal(f"byte {reader.offset}", f"cannot be read on: {error}", b""))
            yield page.take(complete=True, damaged=True)
            return
        yield page.take(complete=True)

    def _rows(self, reader: LineReader, blob: Blob, header: list[str] | None) -> Iterator[Row]:
        return (
            jsonl_rows(reader)
            if header is None
            else csv_rows(reader, self._separator(blob), header)
        )
