"""A sheet of an XLSX workbook, row by row. Needs the extra `excel` (openpyxl).

The rows are streamed; the workbook's table of distinct texts is in memory, as its format wants it.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from worker.errors import ConfigurationError
from worker.sources.files.table import Row
from worker.sources.files.unpacking import Bomb, require_no_bomb

DAMAGE: tuple[type[Exception], ...] = (
    zipfile.BadZipFile, zlib.error, ParseError, LookupError, ValueError, TypeError, AttributeError,
    NotImplementedError, RuntimeError, OSError, EOFError, Bomb,
)  # fmt: skip
"""openpyxl has no error of its own for a workbook that is broken inside."""


TEXTS = "xl/sharedStrings.xml"

MAX_ROWS = 1_048_576
"""Of a sheet, by Excel's own limit: a file may say that it has more."""

MAX_TEXTS = 64 * 1024 * 1024
"""Bytes of a workbook's table of texts, which is read into memory: some ten times that."""


def _require_few_texts(parts: zipfile.ZipFile) -> None:
    """Raises Bomb."""
    if any(i.filename == TEXTS and i.file_size > MAX_TEXTS for i in parts.infolist()):
        raise Bomb(f"its texts are more than {MAX_TEXTS >> 20} MB")


class Workbook:
    """`worker.sources.files.table.Table` over openpyxl. The sheet's first row names the columns."""

    damage = DAMAGE

    def __init__(self, stream: IO[bytes], path: str, sheet: str | None, bomb_bytes: int) -> None:
        """The first sheet, or the one of that name. Raises ConfigurationError."""
        try:
            from openpyxl import load_workbook
        except ImportError as error:
            raise ConfigurationError(
                f"{path} is XLSX, and openpyxl is not installed.",
                hint="Run: pip install 'sentiment-worker[excel]'",
            ) from error
        try:
            with zipfile.ZipFile(stream) as parts:
                require_no_bomb(parts, stream.seek(0, io.SEEK_END), bomb_bytes)
                _require_few_texts(parts)
            stream.seek(0)
            # Values as they were last calculated, and not the formulas.
            book = load_workbook(stream, read_only=True, data_only=True)
        except DAMAGE as error:
            raise ConfigurationError(
                f"{path} is no XLSX workbook: {error}.",
                hint="Open it without its password, or save it as .xlsx, or as CSV.",
            ) from error
        sheets = {each.title: each for each in book.worksheets}  # those of charts have no rows
        if not sheets or (sheet is not None and sheet not in sheets):
            there = ", ".join(map(repr, list(sheets)[:10])) or "none"
            wanted = f"no sheet {sheet!r}" if sheet is not None else "no sheet with rows"
            raise ConfigurationError(f"{path} has {wanted}.", hint=f"There are: {there}.")
        self._sheet: Any = sheets[sheet] if sheet is not None else next(iter(sheets.values()))
        self._sheet.reset_dimensions()  # some programs write wrong ones
        self.names = self._header(path)

    def batches(self, size: int) -> Iterator[Sequence[Row]]:
        """A blank line is an empty row: it counts, as it does for who looks at the sheet."""
        values = self._sheet.iter_rows(min_row=2, max_row=MAX_ROWS, values_only=True)
        while batch := list(islice(values, size)):
            yield [self._row(cells) for cells in batch]

    def _header(self, path: str) -> list[str]:
        try:
            cells = next(self._sheet.iter_rows(max_row=1, values_only=True), ())
        except DAMAGE as error:
            raise ConfigurationError(f"{path} cannot be read: {error}.") from error
        names = ["" if cell is None else str(cell).strip() for cell in cells]
        if not any(names):
            raise ConfigurationError(f"The first row of {path} names no column.")
        if twice := [name for name in dict.fromkeys(names) if name and names.count(name) > 1]:
            raise ConfigurationError(f"{path}: the header names {twice[0]!r} twice.")
        return names

    def _row(self, cells: Sequence[Any]) -> Row:
        if all(cell is None for cell in cells):
            return {}
        return {name: cell for name, cell in zip(self.names, cells, strict=False) if name}
