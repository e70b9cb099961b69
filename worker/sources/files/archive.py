"""ZIP archives: each file inside that can be read is a file of its own, `archive.zip!its/name`."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

from worker.clean import storable
from worker.errors import ConfigurationError
from worker.log import get_logger
from worker.sources.files.endings import ROWS
from worker.sources.files.storage import Blob
from worker.sources.files.unpacking import BOMB_RATIO, Measured, seekable

log = get_logger(__name__)

INSIDE = "!"
MEMBERS = 100_000
UNREADABLE = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError)
"""What `zipfile` raises for archives that are damaged, or of a kind that it does not read."""

ENCRYPTED = 0x1
"""Of a member's flags: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (4.4.4)"""


@contextmanager
def opened(blob: Blob, bomb_bytes: int) -> Iterator[list[Blob]]:
    """The files inside, by name; they can be read for as long as it is open. Archives in archives,
    and what cannot be read elsewhere, are passed over. Raises ConfigurationError."""
    with seekable(blob.open(bomb_bytes), blob.path) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except UNREADABLE as error:
            raise ConfigurationError(f"{blob.path} is no ZIP archive: {error}.") from error
        with archive:
            found = [info for info in archive.infolist() if _is_read(info)]
            if len(found) > MEMBERS:
                raise ConfigurationError(f"{blob.path} holds more than {MEMBERS:,} files.")
            names = [info.filename for info in found]
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise ConfigurationError(f"{blob.path} holds two files named {twice[0]!r}.")
            passed_over = sum(not info.is_dir() for info in archive.infolist()) - len(found)
            if passed_over:
                log.info("archive.passed_over", file=blob.path, files=passed_over)
            yield [_member(blob, archive, info, bomb_bytes) for info in sorted(found, key=_name)]


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename


def _is_read(info: zipfile.ZipInfo) -> bool:
    parts = info.filename.split("/")
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    is_archive = info.filename.lower().endswith(".zip")
    return not (info.is_dir() or hidden or is_archive) and ROWS.match(info.filename)


def _member(blob: Blob, archive: zipfile.ZipFile, info: zipfile.ZipInfo, bomb_bytes: int) -> Blob:
    inside = INSIDE + storable(info.filename)
    path = blob.path + inside
    stamp = f"{info.file_size}:{info.CRC:08x}"
    get = partial(_open, archive, info, path, blob.size, bomb_bytes)
    # What it says of its size may be a lie, and what it is packed in is judged by that.
    size = min(info.file_size, BOMB_RATIO * blob.size)
    return Blob(path, size, stamp, 0.0, get, inside=inside)


def _open(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str, archive_bytes: int, bomb_bytes: int
) -> IO[bytes]:
    if info.flag_bits & ENCRYPTED:
        raise ConfigurationError(f"{path} is encrypted.", hint="Pack it without a password.")
    try:
        unpacked = archive.open(info)
    except UNREADABLE as error:
        raise ConfigurationError(f"{path} cannot be unpacked: {error}.") from error
    packed = min(info.compress_size, archive_bytes)
    return io.BufferedReader(_Member(unpacked, unpacked, packed, bomb_bytes), 1 << 16)


class _Member(Measured):
    """A file of an archive as it is unpacked: damage is its own, and not the archive's."""

    def readinto(self, buffer: Any) -> int:
        try:
            return super().readinto(buffer)
        except UNREADABLE as error:
            raise zipfile.BadZipFile(str(error)) from error
