"""Rows into files, streamed: CSV, JSON lines, Parquet, XLSX.

A cell that a spreadsheet would run as a formula is made a text: records come from strangers.
https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from worker.errors import ConfigurationError

Row = Mapping[str, Any]
Writer = Callable[[Iterator[Row], Path], int]

FORMULA = ("=", "+", "-", "@", "\t", "\r")

BATCH = 10_000
"""Rows of a Parquet row group."""

SHEET_ROWS = 1_048_576
SHEET_TEXT = 32_767
"""https://support.microsoft.com/office/excel-specifications-and-limits"""


def writer_for(path: Path) -> Writer:
    """By the file's ending. Raises ConfigurationError, also where an extra is not installed."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ConfigurationError(
            f"{path.name!r} does not say what to write.",
            hint=f"End it with {', '.join(FORMATS)}.",
        )
    return FORMATS[ending]()


def save(rows: Iterable[Row], path: Path, write: Writer) -> int:
    """Write rows to `path`, and say how many. The file is there whole, or as it was before."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        aside = Path(name)
        try:
            count = write(iter(rows), aside)
            aside.chmod(0o600)  # records may be personal: who may read them is the user's to say
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.", hint="Name a folder that exists."
        ) from error
    return count


def harmless(value: Any) -> Any:
    """A text that begins like a formula, behind an apostrophe; numbers stay what they are."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _csv() -> Writer:
    def write(rows: Iterator[Row], path: Path) -> int:
        with path.open("w", encoding="utf-8", newline="") as file:
            return _write_csv(rows, csv.writer(file))

    return write


def _write_csv(rows: Iterator[Row], out: Any) -> int:
    count = 0
    for row in rows:
        if not count:
            out.writerow(row.keys())
        out.writerow([harmless(_plain(value)) for value in row.values()])
        count += 1
    return count


def _jsonl() -> Writer:
    def write(rows: Iterator[Row], path: Path) -> int:
        count = 0
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for count, row in enumerate(rows, 1):  # noqa: B007  how many there were
                file.write(json.dumps(row, default=_plain, ensure_ascii=False) + "\n")
        return count

    return write


def _parquet() -> Writer:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise _missing("Parquet", "parquet") from error

    def write(rows: Iterator[Row], path: Path) -> int:
        count, out = 0, None
        while batch := list(itertools.islice(rows, BATCH)):
            columns = {name: [_whole(row[name]) for row in batch] for name in batch[0]}
            schema = out.schema if out else _parquet_schema(pa, batch[0])
            table = pa.table(columns, schema=schema)
            out = out or pq.ParquetWriter(path, schema, compression="zstd")
            out.write_table(table)
            count += len(batch)
        if out:
            out.close()
        return count

    return write


def _parquet_schema(pa: Any, row: Row) -> Any:
    """Said, and not guessed from the first rows: those may hold nothing but nulls."""
    moment = pa.timestamp("us", tz="UTC")
    types = {
        **dict.fromkeys(("score", "polarity", "machine_polarity"), pa.float64()),
        **dict.fromkeys(("published_at", "scored_at", "ingested_at", "moment"), moment),
        "overridden_at": moment,
        "provisional": pa.bool_(),
        **dict.fromkeys(("revision", "record_id", "source_id"), pa.int64()),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in row])


def _xlsx() -> Writer:
    try:
        import xlsxwriter
    except ImportError as error:
        raise _missing("XLSX", "analysis") from error

    def write(rows: Iterator[Row], path: Path) -> int:
        options = {
            # Row by row through a temporary file: memory does not grow.
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "default_date_format": "yyyy-mm-dd hh:mm:ss",
            "remove_timezone": True,
        }
        with xlsxwriter.Workbook(str(path), options) as book:
            return _write_sheet(rows, book.add_worksheet("scores"))

    return write


def _write_sheet(rows: Iterator[Row], sheet: Any) -> int:
    count = 0
    for row in rows:
        if not count:
            _write_line(sheet, 0, list(row.keys()))
        count += 1
        if count >= SHEET_ROWS:
            raise ConfigurationError(
                f"A sheet holds {SHEET_ROWS - 1:,} rows, and there are more.",
                hint="Narrow the filters, or export to .csv or .parquet.",
            )
        _write_line(sheet, count, [_in_a_cell(value) for value in row.values()])
    return count


def _write_line(sheet: Any, number: int, values: Sequence[Any]) -> None:
    for column, value in enumerate(values):
        if isinstance(value, str):
            sheet.write_string(number, column, value)
        elif value is not None:
            sheet.write(number, column, value)


def _in_a_cell(value: Any) -> Any:
    value = value if isinstance(value, datetime) else _plain(value)
    return value[:SHEET_TEXT] if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """What CSV and JSON can hold: times as ISO 8601, objects as JSON."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return value


def _whole(value: Any) -> Any:
    return _plain(value) if isinstance(value, dict | list) else value


def _missing(what: str, extra: str) -> ConfigurationError:
    return ConfigurationError(
        f"Writing {what} needs an extra.", hint=f"Run: pip install 'sentiment-worker[{extra}]'"
    )


FORMATS: Mapping[str, Callable[[], Writer]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".xlsx": _xlsx,
}
