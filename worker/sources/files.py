"""Files as a source: each file is a partition with a cursor of its own.

A file that did not change is not opened. One that grew is read from where it stood, after
its earlier bytes were found to be the same; one that changed is read anew, and records that
are as they were are absorbed by the store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Layout, Page, Position, Record, Refusal
from worker.sources import parquet, storage
from worker.sources.columns import FileMapping, RowRefused
from worker.sources.lines import (
    Row,
    Tape,
    csv_header,
    csv_rows,
    is_read_by_line,
    jsonl_rows,
    recoded,
)
from worker.sources.storage import Blob

log = get_logger(__name__)

PAGE_ROWS = 4_000
PAGE_BYTES = 4 * 1024 * 1024

REST_S = 3.0
"""A file untouched for so long is not being written: its last line is all there is of it."""

UNREADABLE: tuple[type[Exception], ...] = (*storage.UNPACK_ERRORS, UnicodeError)

DELIMITERS = {"csv": ",", "tsv": "\t"}


class FileSource:
    """`worker.ports.Source` over files."""

    def __init__(
        self,
        name: str,
        locations: Sequence[str],
        layout: Layout,
        *,
        encoding: str = "utf-8-sig",
        delimiter: str | None = None,
    ) -> None:
        self.name = name
        self._locations = locations
        self._layout = layout
        self._encoding = encoding
        self._delimiter = delimiter

    def size(self) -> int | None:
        """Bytes of all files; None where packing hides how much there is to read."""
        blobs = self._find()
        if any(blob.packing or blob.format == "parquet" for blob in blobs):
            return None
        return sum(blob.size for blob in blobs)

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        blobs = self._find()
        unread: SourceUnavailable | None = None
        for blob in blobs:
            position = positions.get(blob.path, {})
            if position.get("layout") != self._digest():
                position = {}
            if position.get("stamp") == blob.stamp:
                continue
            try:
                yield from self._file(blob, position)
            except ConfigurationError as error:
                if len(blobs) == 1:
                    raise
                # Of many files one is not like the others: it is refused, the others are read.
                yield self._refused_file(blob, error)
            except (SourceUnavailable, OSError) as error:
                log.warning("file.unreadable", file=blob.path, error=str(error))
                if isinstance(error, OSError):
                    error = storage.unreadable(blob.path, error)
                unread = error
        if unread is not None:
            raise unread

    def _find(self) -> list[Blob]:
        found = {blob.path: blob for place in self._locations for blob in storage.find(place)}
        return [found[path] for path in sorted(found)]

    def _digest(self) -> str:
        return f"{self._layout.digest()}-{self._encoding}-{self._delimiter or ''}"

    def _file(self, blob: Blob, position: Position) -> Iterator[Page]:
        if blob.format == "parquet":
            yield from parquet.pages(blob, position, self._layout, self._digest())
        else:
            yield from self._lines(blob, position)

    def _lines(self, blob: Blob, position: Position) -> Iterator[Page]:
        with blob.open() as stream:
            tape = self._tape(stream)
            header = self._header(tape, blob)
            if self._resume(tape, position):
                yield from self._pages_of(blob, tape, header, resumed=position.get("offset", 0) > 0)
                return
        with blob.open() as stream:
            tape = self._tape(stream)
            yield from self._pages_of(blob, tape, self._header(tape, blob), resumed=False)

    def _tape(self, stream: IO[bytes]) -> Tape:
        if is_read_by_line(self._encoding):
            return Tape(stream, self._encoding)
        return Tape(recoded(stream, self._encoding), "utf-8")

    def _header(self, tape: Tape, blob: Blob) -> list[str] | None:
        """None for JSON lines, whose rows name their columns themselves."""
        if blob.format == "jsonl":
            return None
        try:
            return csv_header(tape, self._separator(blob), blob.path)
        except UNREADABLE as error:
            raise ConfigurationError(f"{blob.path} cannot be read: {error}.") from error

    def _separator(self, blob: Blob) -> str:
        return self._delimiter or DELIMITERS[blob.format]

    def _resume(self, tape: Tape, position: Position) -> bool:
        """Stand where the position says. False if what lies before it is no longer the same."""
        offset = position.get("offset", 0)
        if offset <= tape.offset:
            return not position or offset == tape.offset
        try:
            return tape.skip(offset, position["line"]) and tape.digest == position["digest"]
        except storage.UNPACK_ERRORS:
            return False

    def _pages_of(
        self, blob: Blob, tape: Tape, header: list[str] | None, *, resumed: bool
    ) -> Iterator[Page]:
        if header is None:
            rows = jsonl_rows(tape)
        else:
            rows = csv_rows(tape, self._separator(blob), header)
        page = _PageBuilder(blob, tape, self._layout, self._digest(), header, resumed=resumed)
        try:
            for row in rows:
                if page.is_full():
                    yield page.take()
                if tape.ends_open:
                    if not _rests(blob):
                        # Half a row can look like a whole one: it stays unread until it is.
                        log.info("file.still_growing", file=blob.path, line=row.line)
                        yield page.take(growing=True)
                        return
                    page.stay_before_this_row()
                page.add(row)
        except UNREADABLE as error:
            page.refuse(Refusal(f"byte {tape.offset}", f"cannot be read on: {error}", b""))
            yield page.take(complete=True, damaged=True)
            return
        yield page.take(complete=True)

    def _refused_file(self, blob: Blob, error: ConfigurationError) -> Page:
        reason = f"{error} {error.hint}".strip()
        position = {"stamp": blob.stamp, "layout": self._digest()}
        return Page(blob.path, position, (), (Refusal("file", reason, b""),))


def _rests(blob: Blob) -> bool:
    """Is the file finished? A young one is watched for a moment. Objects never grow."""
    if blob.modified == 0.0 or blob.packing:
        return True
    left = blob.modified + REST_S - time.time()
    if left > 0:
        time.sleep(min(left, REST_S))
    return blob.is_unchanged()


class _PageBuilder:
    """Gathers rows into pages, with the tape's place after the last of them."""

    def __init__(
        self,
        blob: Blob,
        tape: Tape,
        layout: Layout,
        digest: str,
        header: list[str] | None,
        *,
        resumed: bool,
    ) -> None:
        self._blob = blob
        self._tape = tape
        self._digest = digest
        self._mapping = FileMapping(layout, header or (), file=blob.name)
        self._records: list[Record] = []
        self._refusals: list[Refusal] = []
        self._start = tape.offset
        self._from_the_beginning = not resumed
        self._place: tuple[int, int, str] | None = None

    def is_full(self) -> bool:
        rows = len(self._records) + len(self._refusals)
        return rows >= PAGE_ROWS or self._tape.offset - self._start >= PAGE_BYTES

    def stay_before_this_row(self) -> None:
        """It is accepted as it is; should the file grow, it is read again, whole."""
        self._place = self._here()

    def add(self, row: Row) -> None:
        if isinstance(row.values, Refusal):
            self._refusals.append(row.values)
            return
        try:
            self._records.append(self._mapping.record(row.values))
        except RowRefused as error:
            self._refusals.append(Refusal(f"line {row.line}", str(error), row.raw))

    def refuse(self, refusal: Refusal) -> None:
        self._refusals.append(refusal)

    def take(self, *, complete: bool = False, growing: bool = False, damaged: bool = False) -> Page:
        """The page so far. `growing`: the row at hand is not part of it, nor of the position;
        `damaged`: what comes after it cannot be read."""
        self._mapping.raise_if_nothing_fits(self._records)
        offset, line, digest = self._place or self._here()
        position: dict[str, Any] = {
            "offset": offset,
            "line": line,
            "digest": digest,
            "layout": self._digest,
            "stamp": self._blob.stamp if complete and not growing else None,
        }
        page = Page(
            self._blob.path,
            position,
            self._records,
            self._refusals,
            bytes_read=self._tape.offset - self._start,
            whole=complete and self._from_the_beginning and not damaged,
        )
        self._records, self._refusals, self._start = [], [], self._tape.offset
        return page

    def _here(self) -> tuple[int, int, str]:
        return self._tape.offset, self._tape.line, self._tape.digest
