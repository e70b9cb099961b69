"""Rows into files, streamed: CSV, JSON lines, Parquet, XLSX.

What is written is what there is, to the letter. A spreadsheet would run some cells of a CSV file as
formulas, and records come from strangers: for a spreadsheet they are made texts. XLSX says of each
cell that it is a text. https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from worker.errors import ConfigurationError

Row = Mapping[str, Any]
Columns = Mapping[str, type]
"""Each column's name, and what is in it: str, int, float, bool, datetime, or object (JSON)."""
Writer = Callable[[Iterator[Row], Columns, Path], int]

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Also in full width."""
UNSEEN = " \u00a0\ufeff\u200b"
"""Before a formula, some spreadsheets drop these."""

_NUMBER = re.compile(r"[-+]?(\d+([.,]\d+)*|\.\d+)([eE][-+]?\d+)?%?")

BATCH = 10_000
"""Rows of a Parquet row group."""

SHEET_ROWS = 1_048_576
SHEET_TEXT = 32_767
"""Characters of a cell, as UTF-16 counts them: an emoji is two.
https://support.microsoft.com/office/excel-specifications-and-limits"""
FIRST_YEAR = 1900
"""A sheet's calendar begins with it; an earlier time is written as a text."""


class Watched:
    """Rows on their way to a file; counts the cells that a spreadsheet would run as formulas, and
    the texts that are longer than a cell of a sheet."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.formulas = 0
        self.long = 0
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.formulas += sum(map(is_formula, row.values()))
            self.long += sum(isinstance(v, str) and _is_long(v) for v in row.values())
            yield row


def is_formula(value: Any) -> bool:
    """Would a spreadsheet take this text for a formula? A number it would not."""
    if not isinstance(value, str):
        return False
    bare = value.lstrip(UNSEEN)
    return bare.startswith(FORMULA) and not _NUMBER.fullmatch(bare)


def writer_for(path: Path, *, for_spreadsheet: bool = False) -> Writer:
    """By the file's ending. Raises ConfigurationError, also where an extra is not installed."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ConfigurationError(
            f"{path.name!r} does not say what to write.",
            hint=f"End it with {', '.join(FORMATS)}.",
        )
    if for_spreadsheet and ending not in (".csv", ".xlsx"):
        raise ConfigurationError(
            f"--for-spreadsheet is for .csv and .xlsx, and {path.name!r} is neither."
        )
    return FORMATS[ending](for_spreadsheet)


def save(rows: Iterable[Row], columns: Columns, path: Path, write: Writer) -> int:
    """Write rows to `path`, and say how many. The file is there whole, or as it was before; its
    owner alone may read it: records may be personal."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        aside = Path(name)
        try:
            count = write(iter(rows), columns, aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.",
            hint="Name a file in a folder that exists, with room for it.",
        ) from error
    return count


def harmless(value: Any) -> Any:
    """A text that a spreadsheet would run, behind an apostrophe."""
    return f"'{value}" if is_formula(value) else value


def _csv(for_spreadsheet: bool) -> Writer:
    def cell(row: Row, name: str) -> Any:
        value = _plain(row[name])
        return harmless(value) if for_spreadsheet else value

    def write(rows: Iterator[Row], columns: Columns, path: Path) -> int:
        count = 0
        with path.open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(columns)
            for count, row in enumerate(rows, 1):  # noqa: B007  how many there were
                out.writerow([cell(row, name) for name in columns])
        return count

    return write


def _jsonl(_: bool) -> Writer:
    def write(rows: Iterator[Row], columns: Columns, path: Path) -> int:
        count = 0
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for count, row in enumerate(rows, 1):  # noqa: B007  how many there were
                file.write(json.dumps(row, default=_plain, ensure_ascii=False) + "\n")
        return count

    return write


def _parquet(_: bool) -> Writer:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise _missing("Parquet", "parquet") from error

    kinds = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        datetime: pa.timestamp("us", tz="UTC"),
        object: pa.string(),
    }

    def write(rows: Iterator[Row], columns: Columns, path: Path) -> int:
        schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
        count = 0
        with pq.ParquetWriter(path, schema, compression="zstd") as out:
            while batch := list(itertools.islice(rows, BATCH)):
                out.write_table(
                    pa.table(
                        {
                            name: [_whole(row[name], kind) for row in batch]
                            for name, kind in columns.items()
                        },
                        schema=schema,
                    )
                )
                count += len(batch)
        return count

    return write


def _xlsx(_: bool) -> Writer:
    try:
        import xlsxwriter
        from xlsxwriter.exceptions import XlsxWriterException
    except ImportError as error:
        raise _missing("XLSX", "analysis") from error

    def write(rows: Iterator[Row], columns: Columns, path: Path) -> int:
        # Whatever fails, no file with records is left in it.
        with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as scratch:
            return write_in(scratch, rows, columns, path)

    def write_in(scratch: str, rows: Iterator[Row], columns: Columns, path: Path) -> int:
        options = {
            # Row by row through a temporary file: memory does not grow.
            "constant_memory": True,
            "tmpdir": scratch,
            "use_zip64": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "default_date_format": "yyyy-mm-dd hh:mm:ss",
            "remove_timezone": True,
        }
        try:
            with xlsxwriter.Workbook(str(path), options) as book:
                return _write_sheet(rows, columns, book.add_worksheet("scores"))
        except XlsxWriterException as error:
            raise ConfigurationError(f"The workbook cannot be written: {error}.") from error

    return write


def _write_sheet(rows: Iterator[Row], columns: Columns, sheet: Any) -> int:
    _write_line(sheet, 0, list(columns))
    count = 0
    for count, row in enumerate(rows, 1):
        if count >= SHEET_ROWS:
            raise ConfigurationError(
                f"A sheet holds {SHEET_ROWS - 1:,} rows, and there are more.",
                hint="Narrow the filters, or export to .csv or .parquet.",
            )
        _write_line(sheet, count, [_in_a_cell(row[name]) for name in columns])
    return count


def _write_line(sheet: Any, number: int, values: Sequence[Any]) -> None:
    for column, value in enumerate(values):
        if isinstance(value, str):
            sheet.write_string(number, column, value)
        elif value is not None:
            sheet.write(number, column, value)


def _in_a_cell(value: Any) -> Any:
    is_date = isinstance(value, datetime) and value.year >= FIRST_YEAR
    value = value if is_date else _plain(value)
    if isinstance(value, str) and _is_long(value):
        return value.encode("utf-16-le")[: 2 * SHEET_TEXT].decode("utf-16-le", "ignore")
    return value


def _is_long(text: str) -> bool:
    return 2 * len(text) > SHEET_TEXT and len(text.encode("utf-16-le")) > 2 * SHEET_TEXT


def _plain(value: Any) -> Any:
    """What CSV and JSON can hold: times as ISO 8601, objects as JSON."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return value


def _whole(value: Any, kind: type) -> Any:
    return _plain(value) if kind is object else value


def _missing(what: str, extra: str) -> ConfigurationError:
    return ConfigurationError(
        f"Writing {what} needs an extra.", hint=f"Run: pip install 'sentiment-worker[{extra}]'"
    )


FORMATS: Mapping[str, Callable[[bool], Writer]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".xlsx": _xlsx,
}
