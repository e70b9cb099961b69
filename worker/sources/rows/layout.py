"""What a configuration says of a source's columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from hashlib import blake2b

CONTENT_ID, ROW_ID = "content", "row"
"""Instead of a column's name: the id is derived from the row, so that equal rows are one record; or
from its place in the file, so that each row is one."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the configuration says of a source's columns; None means find it by usual names."""

    id: str | None = None
    """A column, `CONTENT_ID` or `ROW_ID`."""
    text: str | None = None
    time: str | None = None
    author: str | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    timezone: tzinfo | None = None
    time_format: str | None = None

    def digest(self) -> str:
        """Changes when a re-read would give other records."""
        return blake2b(repr(self).encode(), digest_size=6).hexdigest()
