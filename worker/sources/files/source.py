"""Files as a source: each file is a partition with a cursor of its own.

A file that did not change is not opened. One that grew is read from where it stood, after
its earlier bytes were found to be the same; one that changed is read anew, and records that
are as they were are absorbed by the store.

A file may end inside a row: no line end, open quotes, half an archive. What is there is taken
as it is, and the position says that the end was open ("open_end"). Should the file grow, it is
read anew from its beginning: half an id may have stood for another record, or for none.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import IO, Any

from worker.aws import STANDARD, Access
from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Page, Position, Refusal, Remark
from worker.sources.files import parquet, storage, unpacking
from worker.sources.files.emptiness import Emptiness
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
from worker.sources.files.storage import Blob
from worker.sources.kinds import unsaid
from worker.sources.rows import identity, ids
from worker.sources.rows.layout import Layout

log = get_logger(__name__)

UNREADABLE: tuple[type[Exception], ...] = (*unpacking.UNPACK_ERRORS, UnicodeError)

DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How the bytes of files become rows."""

    encoding: str = "utf-8-sig"
    delimiter: str | None = None
    page_rows: int = PAGE_ROWS
    bomb_bytes: int = unpacking.BOMB_BYTES
    """See `unpacking.BOMB_RATIO`."""
    is_at_rest: Callable[[Blob], bool] = storage.is_at_rest
    """Is a file whose last line is open finished, and not being written?"""


class FileSource:
    """`worker.ports.Source` over files."""

    def __init__(
        self,
        name: str,
        locations: Sequence[str],
        layout: Layout,
        *,
        access: Access = STANDARD,
        tell: Callable[[str], None] = unsaid,
        options: FileOptions | None = None,
        may_be_empty: bool = True,
        empty_before: Callable[[], int] = lambda: 0,
    ) -> None:
        self.name = name
        self._locations = locations
        self._layout = layout
        self._access = access
        self._options = options or FileOptions()
        self.remark: Remark | None = None
        self._emptiness = Emptiness(name, locations, may_be_empty=may_be_empty, before=empty_before)
        self._id_rules = IdRules(name, layout, self._digest, tell)

    def size(self) -> int | None:
        """Bytes of all files; None where packing hides how much there is to read."""
        blobs = self._find()
        if any(blob.packing or blob.format == "parquet" for blob in blobs):
            return None
        return sum(blob.size for blob in blobs)

    def require_alike(self, positions: Mapping[str, Position]) -> None:
        """Raises ConfigurationError where the files, or those that were read before, have different
        columns. Nobody has said that they are one source, and as one source equal ids would be the
        same record."""
        columns = identity.columns_in(positions)
        for blob in self._find():
            if blob.path not in columns and (found := self._columns_of(blob)) is not None:
                columns[blob.path] = found
        identity.require_one_layout(columns, self.name)

    def _columns_of(self, blob: Blob) -> str | None:
        """The digest of a file's columns; JSON lines are alike, whatever their rows bring. None for
        a file that cannot be read: the run will say so."""
        try:
            if blob.format == "parquet":
                return identity.columns_digest(parquet.columns(blob, self._options.bomb_bytes))
            with blob.open(self._options.bomb_bytes) as stream:
                header = self._header(self._line_reader(stream), blob)
        except (ConfigurationError, SourceUnavailable, OSError):
            return None
        return identity.ANY if header is None else identity.columns_digest(header)

    def require_found(self) -> None:
        """Raises ConfigurationError where there is no file to read."""
        if not self._find():
            raise self._emptiness.refusal()

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        blobs, unread = self._look()
        self._look_at_emptiness(is_empty=not blobs and unread is None)
        self.remember(positions, blobs)
        for blob in blobs:
            try:
                yield from self.read(blob, positions, is_alone=len(blobs) == 1)
            except SourceUnavailable as error:
                log.warning("file.unreadable", file=blob.path, error=str(error))
                unread = error
        if unread is not None:
            raise unread

    def remember(self, positions: Mapping[str, Position], blobs: Sequence[Blob] = ()) -> None:
        """How earlier runs chose ids; before files are read one by one."""
        self._id_rules.remember(positions, blobs)

    def read(
        self, blob: Blob, positions: Mapping[str, Position], *, is_alone: bool
    ) -> Iterator[Page]:
        """What is new of one file. Of many, one that is not like the others is refused, and the
        others are read; one that `is_alone` raises ConfigurationError. Raises SourceUnavailable."""
        known = position = positions.get(blob.path, {})
        if position.get("layout") != self._digest():
            position = {}
        if position.get("stamp") == blob.stamp:
            return
        try:
            for page in self._file(blob, position, known):
                identity.require_same(known, page.identity, blob.path)
                yield page
        except ConfigurationError as error:
            if is_alone:
                raise
            yield self._refused_file(blob, error)
        except OSError as error:
            raise storage.unreadable(blob.path, error) from error

    def _look_at_emptiness(self, *, is_empty: bool) -> None:
        """Raises SourceUnavailable once there was no file too often; the remark says so too."""
        self.remark = self._emptiness.remark() if is_empty else None
        if is_empty:
            self._emptiness.raise_if_too_often()

    def _find(self) -> list[Blob]:
        """Raises SourceUnavailable where one of the places is not there."""
        found, missing = self._look()
        if missing is not None:
            raise missing
        return found

    def _look(self) -> tuple[list[Blob], SourceUnavailable | None]:
        """The files of the places that are there, and why others cannot be read."""
        found: dict[str, Blob] = {}
        missing: SourceUnavailable | None = None
        for place in self._locations:
            try:
                found |= {blob.path: blob for blob in storage.find(place, self._access)}
            except SourceUnavailable as error:
                missing = error
        return [found[path] for path in sorted(found)], missing

    def _digest(self, layout: Layout | None = None) -> str:
        layout = layout or self._layout
        return f"{layout.digest()}-{self._options.encoding}-{self._options.delimiter or ''}"

    def _file(self, blob: Blob, position: Position, known: Position) -> Iterator[Page]:
        if blob.format == "parquet":
            mapping = partial(self._id_rules.of, blob, known)
            most = (self._options.page_rows, self._options.bomb_bytes)
            yield from parquet.pages(blob, position, mapping, self._digest(), *most)
        else:
            yield from self._lines(blob, position, known)

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
        mapping = self._id_rules.of(blob, known, columns, self._first_rows(blob))
        mapping.grows(header is None)
        rows = self._options.page_rows
        return PageBuilder(blob, reader, mapping, self._digest(), reading, doubted, rows)

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

    def _refused_file(self, blob: Blob, error: ConfigurationError) -> Page:
        reason = f"{error} {error.hint}".strip()
        position = {"stamp": blob.stamp, "layout": self._digest()}
        return Page(blob.path, position, (), (Refusal("file", reason, b""),))
