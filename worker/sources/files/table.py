"""Files of numbered rows that are read through an index of their own: Parquet, XLSX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from secrets import token_hex
from typing import IO, Any, Protocol

from worker.records import Page, Position, Record, Refusal
from worker.sources.files.storage import Blob
from worker.sources.files.unpacking import seekable
from worker.sources.rows.columns import RowRefused
from worker.sources.rows.ids import SAMPLE_ROWS
from worker.sources.rows.mapping import RecordMaker

Row = Mapping[str, Any]
Mapper = Callable[[Sequence[str], Iterable[Row]], RecordMaker]
"""How rows become records, by the file's columns and its first rows."""


class Table(Protocol):
    """An open file."""

    @property
    def names(self) -> Sequence[str]:
        """Of its columns."""

    @property
    def damage(self) -> tuple[type[Exception], ...]:
        """What reading a damaged one raises."""

    def batches(self, size: int) -> Iterator[Sequence[Row]]:
        """All of its rows, about `size` at a time."""


OpenTable = Callable[[IO[bytes], str], Table]
"""Opens a stream; the path is for errors. Raises ConfigurationError."""


def columns(blob: Blob, bomb_bytes: int, open_table: OpenTable) -> Sequence[str]:
    """The names of a file's columns. Raises ConfigurationError where it is damaged."""
    with seekable(blob.open(bomb_bytes), blob.path) as stream:
        return open_table(stream, blob.path).names


def pages(
    blob: Blob,
    position: Position,
    mapper: Mapper,
    digest: str,
    page_rows: int,
    bomb_bytes: int,
    open_table: OpenTable,
) -> Iterator[Page]:
    """Rows of a file that changed. Such files are written once, so a changed one is read from its
    start; the position is a row number, for a run that was interrupted."""
    interrupted = position.get("stamp_seen") == blob.stamp
    start = position.get("offset", 0) if interrupted else 0
    reading = position.get("reading", "") if start else token_hex(4)
    kept = {"layout": digest, "reading": reading}
    with seekable(blob.open(bomb_bytes), blob.path) as stream:
        table = open_table(stream, blob.path)
        mapping = mapper(table.names, _first_rows(table))
        row_number = 0
        refused: tuple[Refusal, ...] = ()
        try:
            for batch in table.batches(page_rows):
                first, row_number = row_number, row_number + len(batch)
                if row_number <= start:
                    continue
                records, refusals = _read(mapping, batch, first)
                mapping.raise_if_nothing_fits(records)
                if not records and not refusals:
                    continue  # blank lines
                here = {"offset": row_number, "stamp_seen": blob.stamp, **kept}
                yield Page(
                    blob.path, here, records, refusals, identity=mapping.identity, reading=reading
                )
        except table.damage as error:
            refused = (Refusal(f"after row {row_number}", f"damaged: {error}", b""),)
    done = {"offset": row_number, "stamp": blob.stamp, **kept}
    yield Page(
        *(blob.path, done, (), refused),
        identity=mapping.identity,
        reading=reading,
        complete=not refused,
    )


def _first_rows(table: Table) -> Iterator[Row]:
    try:
        for batch in table.batches(SAMPLE_ROWS):
            yield from batch
            return
    except table.damage:
        return


def _read(
    mapping: RecordMaker, rows: Sequence[Row], first: int
) -> tuple[list[Record], list[Refusal]]:
    records: list[Record] = []
    refusals: list[Refusal] = []
    for number, row in enumerate(rows, first + 1):
        if not row:  # a blank line of a sheet
            continue
        try:
            records.append(mapping.record(row, number))
        except RowRefused as error:
            refusals.append(Refusal(f"row {number}", str(error), repr(row).encode()))
    return records, refusals
