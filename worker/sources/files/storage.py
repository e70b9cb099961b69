"""Where files are: a path, a glob, a folder, `s3://bucket/key`. And what they are packed in."""

from __future__ import annotations

import contextlib
import glob
import gzip
import io
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from worker import aws
from worker.aws import Access
from worker.clean import storable
from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.sources.files.endings import FORMATS, PACKINGS, ROWS, Endings, suffixes
from worker.sources.files.unpacking import BOMB_BYTES, Measured, Zstd

log = get_logger(__name__)

SMALL_BYTES = 1 << 20
"""An object of at most so many bytes is fetched with one request."""

REST_S = 3.0
"""A file untouched for so long is not being written: its last line is all there is of it."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file as it is now. `stamp` changes when its content does."""

    path: str
    size: int
    stamp: str
    modified: float
    """Seconds since the epoch; 0 where files are replaced whole (S3) and never grow."""
    open_raw: Callable[[], IO[bytes]]
    measure: Callable[[], int] = lambda: -1
    """The size of a local file by now. Raises OSError."""
    inside: str = ""
    """The end of `path` that names a file in an archive."""
    written_at: float = 0.0
    """Seconds since the epoch."""
    raw_name: str = ""
    """Of a local file, as the file system has it."""

    def is_unchanged(self) -> bool:
        """Does a local file still have the size it had when it was found?"""
        try:
            return self.stamp.startswith(f"{self.measure()}:")
        except OSError:
            return False

    @property
    def name(self) -> str:
        return self.path.removesuffix(self.inside).rsplit("/", 1)[-1] + self.inside

    @property
    def format(self) -> str:
        return FORMATS[suffixes(self.path)[0]]

    @property
    def packing(self) -> str | None:
        return PACKINGS.get(suffixes(self.path)[1])

    def open(self, bomb_bytes: int = BOMB_BYTES) -> IO[bytes]:
        """The unpacked bytes. Raises SourceUnavailable."""
        try:
            raw = self.open_raw()
        except (OSError, BotoCoreError, ClientError) as error:
            raise unreadable(self.path, error) from error
        if self.packing == "gzip":
            unpacked: Any = gzip.GzipFile(fileobj=raw)
        elif self.packing == "zstd":
            unpacked = Zstd(raw)
        else:
            return raw
        return io.BufferedReader(Measured(unpacked, raw, self.size, bomb_bytes), 1 << 16)


def is_at_rest(blob: Blob, rest_s: float = REST_S) -> bool:
    """Is the file finished? A young one is watched for a moment. Objects never grow."""
    if blob.modified == 0.0 or blob.packing:
        return True
    left = blob.modified + rest_s - time.time()
    if left > 0:
        time.sleep(min(left, rest_s))
    return blob.is_unchanged()


def find(location: str, access: Access, endings: Endings = ROWS) -> list[Blob]:
    """The files with these endings that a location names now, in the order of their names.

    Raises ConfigurationError for what can never match, SourceUnavailable for what is not
    there now.
    """
    if location.startswith("s3://"):
        return list(_find_in_s3(location, access, endings))
    path = Path(location).expanduser()
    if path.is_dir():
        return [_local(name) for name in sorted(_within(path, endings)) if endings.match(name)]
    if path.is_file():
        endings.require(location)
        return [_local(str(path))]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches and glob.has_magic(str(path)):
        return []  # what matches may come later
    files = [name for name in matches if os.path.isfile(name)]
    if files or any(map(os.path.isdir, matches)):
        return [_local(name) for name in files if endings.match(name)]
    if matches or os.path.lexists(path):
        raise SourceUnavailable(
            f"{location} is no file: a link that leads nowhere, a pipe or a device."
        )
    raise SourceUnavailable(
        f"There is no file {location}.", hint="Check the path; quote a glob: 'exports/*.csv'."
    )


def find_all(
    locations: Sequence[str], access: Access, endings: Endings = ROWS
) -> tuple[list[Blob], SourceUnavailable | None]:
    """The files of the places that are there, each once, and why others cannot be read. Raises
    ConfigurationError."""
    found: dict[str, Blob] = {}
    missing: SourceUnavailable | None = None
    for place in locations:
        try:
            for blob in find(place, access, endings):
                other = found.setdefault(blob.path, blob)
                if other.raw_name != blob.raw_name:
                    missing = SourceUnavailable(
                        f"Two files would be one in the database: {blob.path}.",
                        hint="Rename one: their names differ only where they are no UTF-8.",
                    )
        except SourceUnavailable as error:
            missing = error
    return [found[path] for path in sorted(found)], missing


def _within(folder: Path, endings: Endings) -> Iterator[str]:
    """The files under a folder, hidden ones left out. Raises SourceUnavailable for a folder that
    may not be listed: what is in it would be missing, and nobody would know."""

    def refuse(error: OSError) -> None:
        raise unreadable(str(error.filename), error)

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            found = Path(place, name)
            if found.is_file() and not name.startswith("."):
                yield str(found)
            elif found.is_symlink() and endings.match(name):
                log.warning("file.leads_nowhere", file=str(found))


def _local(name: str) -> Blob:
    path = os.path.abspath(name)
    try:
        status = os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error
    stamp = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    opener = partial(_open_local, path)
    # A name that is not UTF-8 is a key in the database all the same.
    return Blob(
        storable(path),
        status.st_size,
        stamp,
        status.st_mtime,
        opener,
        partial(os.path.getsize, path),
        written_at=status.st_mtime,
        raw_name=path,
    )


def _open_local(path: str) -> IO[bytes]:
    return open(path, "rb")


def _find_in_s3(location: str, access: Access, endings: Endings) -> Iterator[Blob]:
    bucket, _, pattern = location.removeprefix("s3://").partition("/")
    if not bucket:
        raise ConfigurationError(
            f"{location} names no bucket.", hint="Write s3://bucket/prefix/*.csv."
        )
    prefix = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    matches = re.compile(_glob_to_regex(pattern)).fullmatch
    client = aws.client("s3", access)
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", ()):
                key = found["Key"]
                if (key == pattern or matches(key)) and endings.match(key):
                    get = partial(_open_s3, client, bucket, key)
                    stamp = f"{found['Size']}:{found['ETag']}"
                    at = found["LastModified"].timestamp()
                    path = f"s3://{bucket}/{key}"
                    yield Blob(path, found["Size"], stamp, 0.0, get, written_at=at)
    except (BotoCoreError, ClientError) as error:
        raise unreadable(location, error) from error


def object_at(bucket: str, key: str, client: Any) -> Blob | None:
    """An object as it is now; None where it is gone. Raises SourceUnavailable."""
    path = f"s3://{bucket}/{key}"
    try:
        got = client.get_object(Bucket=bucket, Key=key)
        size, body = got["ContentLength"], got["Body"]
        stamp = f"{size}:{got['ETag']}"
        get: Callable[[], IO[bytes]] = partial(_open_s3, client, bucket, key)
        with contextlib.closing(body):
            if size <= SMALL_BYTES:
                get = partial(io.BytesIO, body.read())
        return Blob(path, size, stamp, 0.0, get, written_at=got["LastModified"].timestamp())
    except (BotoCoreError, ClientError, OSError) as error:
        if aws.code_of(error) == "NoSuchKey":
            return None
        raise unreadable(path, error) from error


def _open_s3(client: Any, bucket: str, key: str) -> IO[bytes]:
    body = client.get_object(Bucket=bucket, Key=key)["Body"]
    return io.BufferedReader(_Forward(body, f"s3://{bucket}/{key}"), 1 << 18)


class _Forward(io.RawIOBase):
    """botocore's streaming body as a file that can only be read on."""

    def __init__(self, body: Any, path: str) -> None:
        self._body = body
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._body.read(len(buffer))
        except (BotoCoreError, ClientError, OSError) as error:
            raise unreadable(self._path, error) from error
        buffer[: len(data)] = data
        return len(data)


def _glob_to_regex(pattern: str) -> str:
    """A key, a prefix that ends in "/", or a glob as of local files: * stays inside a folder."""
    if not re.search(r"[*?\[]", pattern):
        return re.escape(pattern) + (".*" if pattern.endswith("/") or not pattern else "(/.*)?")
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^]/]+\])", pattern)
    return "".join(parts.get(token) or _class_of(token) or re.escape(token) for token in tokens)


def _class_of(token: str) -> str | None:
    """Of `[0-9]` or `[!a]`."""
    if not (token.startswith("[") and token.endswith("]")):
        return None
    inside = token[1:-1].replace("\\", r"\\")
    return f"[{'^' + inside[1:] if inside.startswith('!') else inside}]"


def unreadable(path: str, error: Exception) -> SourceUnavailable:
    """What to say of a file or an object that cannot be read: of one at S3, what is needed."""
    if path.startswith("s3://"):
        bucket, _, key = path.removeprefix("s3://").partition("/")
        prefix = re.split(r"[*?\[]", key, maxsplit=1)[0]
        hint = (
            "Check the bucket, AWS_REGION and the credentials (`sentiment-worker doctor`), and that"
            f" s3:ListBucket is allowed on arn:aws:s3:::{bucket} and s3:GetObject on"
            f" arn:aws:s3:::{bucket}/{prefix}*."
        )
        return SourceUnavailable(f"{path} cannot be read: {aws.code_of(error)}.", hint=hint)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SourceUnavailable(f"{path} cannot be read: {reason}.", hint="Check its path and rights.")
