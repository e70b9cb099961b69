"""Parquet files, a batch of rows at a time. Needs the extra `parquet` (pyarrow)."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from secrets import token_hex
from typing import IO, Any

from worker.errors import ConfigurationError
from worker.records import Page, Position, Record, Refusal
from worker.sources.files.storage import Blob
from worker.sources.files.unpacking import UNPACK_ERRORS
from worker.sources.rows.columns import RowRefused
from worker.sources.rows.ids import SAMPLE_ROWS
from worker.sources.rows.mapping import RecordMaker

Mapper = Callable[[Sequence[str], Iterable[Mapping[str, Any]]], RecordMaker]
"""How rows become records, by the file's columns and its first rows."""


def columns(blob: Blob, bomb_bytes: int) -> Sequence[str]:
    """The names of a file's columns. Raises ConfigurationError where it is damaged."""
    with _seekable(blob, bomb_bytes) as stream:
        file, _ = _open(stream, blob)
        names: Sequence[str] = file.schema_arrow.names
        return names


def pages(
    blob: Blob,
    position: Position,
    mapper: Mapper,
    digest: str,
    page_rows: int,
    bomb_bytes: int,
) -> Iterator[Page]:
    """Rows of a file that changed. Parquet files are written once, so a changed one is read
    from its start; the position is a row number, for a run that was interrupted."""
    interrupted = position.get("stamp_seen") == blob.stamp
    start = position.get("offset", 0) if interrupted else 0
    reading = position.get("reading", "") if start else token_hex(4)
    with _seekable(blob, bomb_bytes) as stream:
        file, damage = _open(stream, blob)
        mapping = mapper(file.schema_arrow.names, _first_rows(file, damage))
        row_number = 0
        refused: tuple[Refusal, ...] = ()
        try:
            for batch in file.iter_batches(batch_size=page_rows):
                first, row_number = row_number, row_number + batch.num_rows
                if row_number <= start:
                    continue
                records, refusals = _read(mapping, batch.to_pylist(), first)
                mapping.raise_if_nothing_fits(records)
                here = {
                    "offset": row_number,
                    "stamp_seen": blob.stamp,
                    "layout": digest,
                    "reading": reading,
                }
                yield Page(
                    blob.path, here, records, refusals, identity=mapping.identity, reading=reading
                )
        except damage as error:
            refused = (Refusal(f"after row {row_number}", f"damaged: {error}", b""),)
    done = {"offset": row_number, "stamp": blob.stamp, "layout": digest, "reading": reading}
    yield Page(
        *(blob.path, done, (), refused),
        identity=mapping.identity,
        reading=reading,
        complete=not refused,
    )


def _first_rows(file: Any, damage: tuple[type[Exception], ...]) -> Iterator[Mapping[str, Any]]:
    with contextlib.suppress(*damage):
        for batch in file.iter_batches(batch_size=SAMPLE_ROWS):
            yield from batch.to_pylist()
            return


def _read(
    mapping: RecordMaker, rows: list[dict[str, Any]], first: int
) -> tuple[list[Record], list[Refusal]]:
    records: list[Record] = []
    refusals: list[Refusal] = []
    for number, row in enumerate(rows, first + 1):
        try:
            records.append(mapping.record(row, number))
        except RowRefused as error:
            refusals.append(Refusal(f"row {number}", str(error), repr(row).encode()))
    return records, refusals


def _seekable(blob: Blob, bomb_bytes: int) -> IO[bytes]:
    """Parquet's index is at its end: what cannot be sought is first copied to disk."""
    stream = blob.open(bomb_bytes)
    if stream.seekable():
        return stream
    spool = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    try:
        with stream:
            shutil.copyfileobj(stream, spool, 1 << 20)
    except UNPACK_ERRORS as error:
        spool.close()
        raise ConfigurationError(f"{blob.path} cannot be unpacked: {error}.") from error
    spool.seek(0)
    return spool


def _open(stream: IO[bytes], blob: Blob) -> tuple[Any, tuple[type[Exception], ...]]:
    """The file, and the errors that a damaged one raises."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ConfigurationError(
            f"{blob.path} is Parquet, and pyarrow is not installed.",
            hint="Run: pip install 'sentiment-worker[parquet]'",
        ) from error
    try:
        return ParquetFile(stream), (ArrowException, OSError)
    except (ArrowException, OSError) as error:
        raise ConfigurationError(f"{blob.path} is not a Parquet file: {error}.") from error
