"""A sheet of an XLSX workbook, row by row. Needs the extra `excel` (openpyxl).

The rows are streamed; the workbook's table of distinct texts is in memory, as its format wants it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from worker.errors import ConfigurationError
from worker.sources.files.table import Row
from worker.sources.files.unpacking import Bomb, require_no_bomb

DAMAGE: tuple[type[Exception], ...] = (
    zipfile.BadZipFile, ParseError, KeyError, ValueError, OSError, EOFError, Bomb,
)  # fmt: skip
"""openpyxl has no error of its own for a workbook that is broken inside."""


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
                require_no_bomb(parts, bomb_bytes)
            # Values as they were last calculated, and not the formulas.
            book = load_workbook(stream, read_only=True, data_only=True)
        except DAMAGE as error:
            raise ConfigurationError(
                f"{path} is no XLSX workbook: {error}.",
                hint="Open it without its password, or save it as .xlsx, or as CSV.",
            ) from error
        if sheet is not None and sheet not in book.sheetnames:
            there = ", ".join(map(repr, book.sheetnames[:10]))
            raise ConfigurationError(f"{path} has no sheet {sheet!r}.", hint=f"There are: {there}.")
        self._sheet: Any = book[sheet] if sheet is not None else book.worksheets[0]
        self._sheet.reset_dimensions()  # some programs write wrong ones
        self.names = self._header(path)

    def batches(self, size: int) -> Iterator[Sequence[Row]]:
        """A blank line is an empty row: it counts, as it does for who looks at the sheet."""
        values = self._sheet.iter_rows(min_row=2, values_only=True)
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
        return names

    def _row(self, cells: Sequence[Any]) -> Row:
        if all(cell is None for cell in cells):
            return {}
        return {name: cell for name, cell in zip(self.names, cells, strict=False) if name}
