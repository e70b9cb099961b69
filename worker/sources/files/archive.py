"""ZIP archives: each file inside that can be read is a file of its own, `archive.zip!its/name`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO

from worker.clean import storable
from worker.errors import ConfigurationError
from worker.log import get_logger
from worker.sources.files import storage
from worker.sources.files.storage import Blob
from worker.sources.files.unpacking import Measured, seekable

log = get_logger(__name__)

INSIDE = "!"
MEMBERS = 100_000
ENCRYPTED = 0x1
"""Of a member's flags: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (4.4.4)"""


@contextmanager
def opened(blob: Blob, bomb_bytes: int) -> Iterator[list[Blob]]:
    """The files inside, by name; they can be read for as long as it is open. Archives in archives,
    and what cannot be read elsewhere, are passed over. Raises ConfigurationError."""
    with seekable(blob.open(bomb_bytes), blob.path) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError) as error:
            raise ConfigurationError(f"{blob.path} is no ZIP archive: {error}.") from error
        with archive:
            found = [info for info in archive.infolist() if _is_read(info)]
            if len(found) > MEMBERS:
                raise ConfigurationError(f"{blob.path} holds more than {MEMBERS:,} files.")
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
    return not (info.is_dir() or hidden or is_archive) and storage.is_supported(info.filename)


def _member(blob: Blob, archive: zipfile.ZipFile, info: zipfile.ZipInfo, bomb_bytes: int) -> Blob:
    inside = INSIDE + storable(info.filename)
    path = blob.path + inside
    stamp = f"{info.file_size}:{info.CRC:08x}"
    get = partial(_open, archive, info, path, bomb_bytes)
    return Blob(path, info.file_size, stamp, 0.0, get, inside=inside)


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str, bomb_bytes: int) -> IO[bytes]:
    if info.flag_bits & ENCRYPTED:
        raise ConfigurationError(f"{path} is encrypted.", hint="Pack it without a password.")
    try:
        unpacked = archive.open(info)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ConfigurationError(f"{path} cannot be unpacked: {error}.") from error
    return io.BufferedReader(Measured(unpacked, unpacked, info.compress_size, bomb_bytes), 1 << 16)
