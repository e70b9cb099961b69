"""Parquet files, a batch of rows at a time. Needs the extra `parquet` (pyarrow)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

from worker.errors import ConfigurationError
from worker.sources.files.table import Row


class ParquetTable:
    """`worker.sources.files.table.Table` over pyarrow."""

    def __init__(self, stream: IO[bytes], path: str) -> None:
        """Raises ConfigurationError."""
        try:
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise ConfigurationError(
                f"{path} is Parquet, and pyarrow is not installed.",
                hint="Run: pip install 'sentiment-worker[parquet]'",
            ) from error
        self.damage: tuple[type[Exception], ...] = (ArrowException, OSError)
        try:
            self._file: Any = ParquetFile(stream)
        except self.damage as error:
            raise ConfigurationError(f"{path} is not a Parquet file: {error}.") from error
        self.names: Sequence[str] = self._file.schema_arrow.names

    def batches(self, size: int) -> Iterator[Sequence[Row]]:
        for batch in self._file.iter_batches(batch_size=size):
            yield batch.to_pylist()
