"""Which files are read, and as what: by the endings of their names."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from worker.errors import ConfigurationError

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".zip": "zip",
}
PACKINGS = {".gz": "gzip", ".zst": "zstd"}


def suffixes(path: str) -> tuple[str, str]:
    """The format's and the packing's, in lower case; "" where there is none."""
    stem, last = os.path.splitext(path.lower())
    if last in PACKINGS:
        return os.path.splitext(stem)[1], last
    return last, ""


@dataclass(frozen=True, slots=True)
class Endings:
    """By which names files are known."""

    formats: Collection[str]
    packings: Collection[str] = ()

    def match(self, path: str) -> bool:
        """Is it of a kind that can be read?"""
        form, packing = suffixes(path)
        return form in self.formats and (not packing or packing in self.packings)

    def require(self, path: str) -> None:
        """Raises ConfigurationError."""
        if not self.match(path):
            packed = f", plain or with {' or '.join(self.packings)}" if self.packings else ""
            raise ConfigurationError(
                f"{path} is of no kind that can be read.",
                hint=f"Name it {', '.join(self.formats)}{packed}.",
            )


ROWS = Endings(FORMATS, PACKINGS)
"""Files of rows."""

AUDIO = Endings((".wav", ".mp3", ".ogg", ".oga", ".opus", ".flac", ".m4a"))
"""Recordings."""
