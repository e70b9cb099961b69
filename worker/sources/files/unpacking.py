"""Files that are packed: unpacked as they are read, and bombs refused."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from typing import IO, Any

import zstandard

from worker.errors import ConfigurationError

BOMB_BYTES = 256 * 1024 * 1024


BOMB_RATIO = 300
"""Unpacked to more than both, a file is refused as a bomb; text packs 3 to 20 times."""


class Bomb(Exception):
    """A file that unpacks out of all proportion."""


UNPACK_ERRORS: tuple[type[Exception], ...] = (
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    zstandard.ZstdError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    Bomb,
)


def seekable(stream: IO[bytes], path: str) -> IO[bytes]:
    """Some formats have their index at the end: what cannot be sought is first copied to disk.
    Raises ConfigurationError."""
    if stream.seekable():
        return stream
    spool = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    try:
        with stream:
            shutil.copyfileobj(stream, spool, 1 << 20)
    except UNPACK_ERRORS as error:
        spool.close()
        raise ConfigurationError(f"{path} cannot be unpacked: {error}.") from error
    spool.seek(0)
    return spool


def require_no_bomb(parts: zipfile.ZipFile, size: int, bomb_bytes: int) -> None:
    """Raises Bomb where the parts together unpack out of all proportion; none unpacks to more than
    it says. `size` is the archive's own: what a part says of its packed size may be a lie."""
    packed = min(size, sum(info.compress_size for info in parts.infolist()))
    limit = max(bomb_bytes, BOMB_RATIO * packed)
    if sum(info.file_size for info in parts.infolist()) > limit:
        raise Bomb(f"unpacks to more than {limit} bytes")


class Zstd:
    """Zstandard frames, one after another. Raises EOFError where the last one is cut: the
    library's own reader takes that for the end, and the rest of the rows would be missed."""

    SLICE = 256
    """Bytes unpacked at once: a block of four can unpack to 128 KiB, so at most 8 MiB come of it.
    https://www.rfc-editor.org/rfc/rfc8878 (3.1.1.2)"""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._packed = b""
        self._unpacked = memoryview(b"")
        self._inside = False
        self._frame = self._new_frame()

    def read1(self, size: int) -> bytes:
        while not self._unpacked:
            packed = self._packed or self._raw.read(self.SLICE)
            self._packed = b""
            if not packed and self._inside:
                raise EOFError("it ends in the middle of a zstandard frame")
            if not packed:
                return b""
            self._unpacked = memoryview(self._frame.decompress(packed))
            self._inside = not self._frame.eof
            if self._frame.eof:
                self._packed = self._frame.unused_data
                self._frame = self._new_frame()
        data, self._unpacked = bytes(self._unpacked[:size]), self._unpacked[size:]
        return data

    def close(self) -> None:
        self._unpacked.release()

    @staticmethod
    def _new_frame() -> Any:
        return zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj()


class Measured(io.RawIOBase):
    """Counts what is unpacked, and refuses a bomb while it is small."""

    def __init__(
        self, unpacked: Any, raw: IO[bytes], packed_size: int, bomb_bytes: int = BOMB_BYTES
    ) -> None:
        self._unpacked = unpacked
        self._raw = raw
        self._limit = max(bomb_bytes, BOMB_RATIO * packed_size)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # read1: what was unpacked before a cut is handed out before the cut is reported.
        data = self._unpacked.read1(len(buffer))
        self._count += len(data)
        if self._count > self._limit:
            raise Bomb(f"unpacks to more than {self._limit} bytes")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._unpacked.close()
        self._raw.close()  # gzip leaves it open
        super().close()
