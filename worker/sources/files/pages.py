"""Gathers the rows of a file into pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from worker.clean import clean
from worker.records import Page, Record, Refusal
from worker.sources.files.lines import (
    LineReader,
    Row,
)
from worker.sources.files.storage import Blob
from worker.sources.rows.columns import RowRefused
from worker.sources.rows.mapping import RecordMaker

PAGE_ROWS = 4_000


PAGE_BYTES = 4 * 1024 * 1024


MAX_OPEN_ROWS = 100
"""An open quote with more rows behind it is a broken row, not one that is being written."""


def _withdrawn(external_id: str) -> Record:
    """In place of a row that was read while it was being written, under an id that it has not."""
    text, content_hash, *_ = clean("")
    return Record(external_id, text, content_hash, skip_reason="withdrawn")


class PageBuilder:
    """Gathers rows into pages, with the reader's place behind the last of them."""

    def __init__(
        self,
        blob: Blob,
        reader: LineReader,
        mapping: RecordMaker,
        digest: str,
        reading: str,
        doubted: Iterable[str],
        page_rows: int,
    ) -> None:
        """`doubted`: ids of rows that an earlier reading found unfinished; those that this one
        does not meet again never were."""
        self._blob = blob
        self._line_reader = reader
        self._digest = digest
        self._mapping = mapping
        self._doubted = set(doubted)
        self._page_rows = page_rows
        self._records: list[Record] = []
        self._refusals: list[Refusal] = []
        self._start = reader.offset
        self._reading = reading
        self._open_end: list[str] | None = None

    def is_full(self) -> bool:
        rows = len(self._records) + len(self._refusals)
        return rows >= self._page_rows or self._line_reader.offset - self._start >= PAGE_BYTES

    def end_is_open(self) -> None:
        """From here on rows are taken as they are; what they are called is kept."""
        if self._open_end is None:
            self._open_end = []

    def add(self, row: Row) -> None:
        if isinstance(row.values, Refusal):
            self._refusals.append(row.values)
            return
        try:
            record = self._mapping.record(row.values, row.line)
        except RowRefused as error:
            self._refusals.append(Refusal(f"line {row.line}", str(error), row.raw))
            return
        self._records.append(record)
        self._doubted.discard(record.external_id)
        if self._open_end is not None:
            self._open_end.append(record.external_id)
            if len(self._open_end) > MAX_OPEN_ROWS:
                self._open_end = None

    def refuse(self, refusal: Refusal) -> None:
        self._refusals.append(refusal)

    def take(self, *, complete: bool = False, growing: bool = False, damaged: bool = False) -> Page:
        """The page so far. `growing`: the row at hand is not part of it, nor of the position;
        `damaged`: what comes after it cannot be read."""
        self._mapping.raise_if_nothing_fits(self._records)
        if complete and not damaged:
            self._records.extend(map(_withdrawn, sorted(self._doubted)))
            self._doubted.clear()
        position: dict[str, Any] = {
            "offset": self._line_reader.offset,
            "line": self._line_reader.line,
            "digest": self._line_reader.digest,
            "layout": self._digest,
            "stamp": self._blob.stamp if complete and not growing else None,
            "reading": self._reading,
        }
        if self._open_end is not None:
            position["open_end"] = [*self._open_end, *sorted(self._doubted)]
        elif self._doubted:
            position["doubted"] = sorted(self._doubted)
        page = Page(
            self._blob.path,
            position,
            self._records,
            self._refusals,
            bytes_read=self._line_reader.offset - self._start,
            identity=self._mapping.identity,
            reading=self._reading,
            complete=complete and not damaged,
        )
        self._records, self._refusals, self._start = [], [], self._line_reader.offset
        return page
