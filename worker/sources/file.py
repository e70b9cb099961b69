"""Files: a path, a glob, a folder or an S3 place; CSV, TSV, JSON lines, Parquet, XLSX, and ZIP
archives of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from worker.sources.config import SourceConfig
from worker.sources.kinds import Kind, Opening

if TYPE_CHECKING:
    from worker.sources.files.reader import FileOptions
    from worker.sources.files.source import FileSource


class FileFormat(SourceConfig):
    """What is said of the bytes of files, wherever they come from."""

    encoding: str = "utf-8-sig"
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    sheet: str | None = None
    """Of XLSX: the first one, or the one of this name."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"{value!r} is no encoding; write it like utf-8 or cp1252") from None
        return value

    @property
    def options(self) -> FileOptions:
        from worker.sources.files.reader import FileOptions  # slow to import

        return FileOptions(self.encoding, self.delimiter, self.sheet)


class FilePlace(SourceConfig):
    """Where files are."""

    path: str | tuple[str, ...]
    empty: Literal["warn", "error"] = "warn"

    @field_validator("path")
    @classmethod
    def _without_nul(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if any("\0" in path for path in ((value,) if isinstance(value, str) else value)):
            raise ValueError("a path cannot hold the character NUL")
        return value

    @property
    def locations(self) -> Sequence[str]:
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def is_at_aws(self) -> bool:
        return any(location.startswith("s3://") for location in self.locations)


class FileSourceConfig(FilePlace, FileFormat):
    kind: Literal["file"] = "file"


def open_source(config: FileSourceConfig, opening: Opening) -> FileSource:
    from worker.sources.files.source import FileSource  # slow to import

    return FileSource(
        config.name,
        config.locations,
        config.layout,
        access=opening.access,
        tell=opening.tell,
        options=config.options,
        may_be_empty=config.empty == "warn",
        empty_before=opening.empty_before,
    )


KIND = Kind("file", "files, folders and S3 places", FileSourceConfig, open_source)
