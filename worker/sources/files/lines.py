"""Bytes -> rows, for CSV, TSV and JSON lines. Streams, and always knows where it stands.

Every row comes with its line number; after it, `LineReader` stands at the end of that row, so a
page's cursor is exact to the byte.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections import deque
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import IO, Any, NamedTuple

from worker.errors import ConfigurationError
from worker.records import Refusal

MAX_ROW_BYTES = 8 * 1024 * 1024
"""A row above this is refused: reading must not need memory that the input decides."""


class Row(NamedTuple):
    line: int
    values: Mapping[str, Any] | Refusal
    """The row by column, or why it could not be read."""
    raw: bytes
    """Its first line, for quarantine."""
    open: bool = False
    """The stream ended inside it, without a line end or within quotes: more may come."""


class Undecodable(ValueError):
    """A line is not in the declared encoding, or too long."""


def _undecodable(error: UnicodeDecodeError, *, is_first: bool) -> str:
    said = f"not valid {error.encoding} at byte {error.start}"
    if is_first and error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return f"{said}: its first bytes are those of UTF-16, say --encoding utf-16"
    # Above 7F alone, a byte is a letter in the encodings of Windows and Western Europe.
    if error.encoding == "utf-8" and error.object[error.start] >= 0x80:
        said += ": if the file is from Windows, or Latin-1, say --encoding cp1252"
    return said


def is_read_by_line(encoding: str) -> bool:
    """Can the bytes be cut at a line feed before they are decoded? UTF-16 and its like cannot."""
    return "a\n".encode(encoding).endswith(b"a\n")


def recoded(stream: IO[bytes], encoding: str) -> IO[bytes]:
    """The same text in UTF-8, streamed. Reading raises UnicodeDecodeError where it is broken."""
    return io.BufferedReader(_Recoded(stream, encoding), 1 << 16)


class _Recoded(io.RawIOBase):
    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b"-"
        while not self._left and data:
            data = self._stream.read(max(1, len(buffer) // 4))
            self._left = self._decoder.decode(data, final=not data).encode("utf-8", "replace")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


class LineReader:
    """Physical lines of a stream, with the offset and digest of all that was consumed.

    `take` hands out lines; `commit` consumes what was taken; `commit_first` consumes only the
    first of them and gives the others back, so that one broken row cannot swallow the next.
    """

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self.offset = 0
        self.line = 0
        self._stream = stream
        self._strip_mark = encoding.lower().replace("_", "-") in ("utf-8-sig", "utf-8", "utf8")
        # Python's own utf-8-sig looks for the mark in each line; it can only be in the first.
        self._decode = codecs.getdecoder("utf-8" if self._strip_mark else encoding)
        self._digest = blake2b(digest_size=16)
        self._taken: list[bytes] = []
        self._given_back: deque[bytes] = deque()
        self._at_end = False

    @property
    def digest(self) -> str:
        """Of every byte before `offset`."""
        return self._digest.copy().hexdigest()

    @property
    def first_taken(self) -> bytes:
        return self._taken[0] if self._taken else b""

    @property
    def ends_open(self) -> bool:
        """True when the last line taken has no line end: the file may still be growing."""
        return bool(self._taken) and not self._taken[-1].endswith(b"\n")

    @property
    def ran_out(self) -> bool:
        """True when lines were asked for beyond the last one."""
        return self._at_end and not self._given_back

    def skip(self, offset: int, line: int) -> bool:
        """Go on to `offset` without looking at rows. False if the stream ends before it."""
        while self.offset < offset:
            block = self._stream.read(min(1 << 20, offset - self.offset))
            if not block:
                return False
            self._consume(block)
        self.line = line
        return True

    def take(self) -> str | None:
        """The next line as text; None at the end. Raises Undecodable (the line is taken)."""
        raw = self._given_back.popleft() if self._given_back else self._read()
        if not raw:
            return None
        self._taken.append(raw)
        if len(raw) > MAX_ROW_BYTES:
            raise Undecodable(f"longer than {MAX_ROW_BYTES} bytes")
        is_first = self.offset == 0 and len(self._taken) == 1
        try:
            text = self._decode(raw)[0]
        except UnicodeDecodeError as error:
            raise Undecodable(_undecodable(error, is_first=is_first)) from None
        if is_first and self._strip_mark:
            text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
        return text

    def give_back(self) -> None:
        """Undo `take`: the same lines will be taken again."""
        self._given_back.extendleft(reversed(self._taken))
        self._taken.clear()

    def commit(self) -> None:
        taken = self._taken
        for raw in taken:
            self._digest.update(raw)
            self.offset += len(raw)
        self.line += len(taken)
        taken.clear()

    def commit_first(self) -> None:
        first, *rest = self._taken
        self._given_back.extendleft(reversed(rest))
        self._taken = [first]
        self.commit()

    def _consume(self, raw: bytes) -> None:
        self._digest.update(raw)
        self.offset += len(raw)

    def _read(self) -> bytes:
        line = self._stream.readline(MAX_ROW_BYTES + 1)
        self._at_end = not line
        if len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            while (more := self._stream.readline(1 << 20)) and not more.endswith(b"\n"):
                self._consume(more)  # counted, hashed, not kept
            self._consume(more)
        return line


def csv_header(reader: LineReader, delimiter: str, where: str) -> list[str]:
    """The header row, [] for an empty file; lines before it that start with "#" are comments.

    Raises ConfigurationError.
    """
    try:
        while (line := reader.take()) is not None and (line.startswith("#") or not line.strip()):
            reader.commit()
        reader.give_back()
        header = [name.strip() for name in next(_csv_reader(reader, delimiter), [])]
    except (csv.Error, Undecodable) as error:
        raise ConfigurationError(
            f"{where}, line {reader.line + 1}: the header cannot be read: {error}.",
            hint="Is it the right file? If its text is not UTF-8, declare the encoding.",
        ) from None
    reader.commit()
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise ConfigurationError(
            f"{where}, line {reader.line}: the header names {', '.join(map(repr, doubled))} twice.",
            hint="Give every column a name of its own.",
        )
    return header


def csv_rows(reader: LineReader, delimiter: str, header: list[str]) -> Iterator[Row]:
    """Rows after the header. A row that cannot be read costs its first line, never the next."""
    rows = _csv_reader(reader, delimiter)
    width = len(header)
    while True:
        line = reader.line + 1
        try:
            row = next(rows, None)
        except (csv.Error, Undecodable) as error:
            refused = _refused(reader, line, str(error))
            yield refused._replace(open=refused.open or reader.ran_out)
            reader.commit_first()
            rows = _csv_reader(reader, delimiter)
            continue
        if row is None:
            return
        if not row:
            reader.commit()
        elif len(row) == width:
            values = dict(zip(header, row, strict=True))
            yield Row(line, values, reader.first_taken, reader.ends_open)
            reader.commit()
        else:
            reason = f"{len(row)} columns where the header has {width}"
            yield _refused(reader, line, reason)
            reader.commit_first()
            rows = _csv_reader(reader, delimiter)


def jsonl_rows(reader: LineReader) -> Iterator[Row]:
    """One JSON object a line. Blank lines and objects with only "_comment" are no rows."""
    while True:
        line = reader.line + 1
        try:
            text = reader.take()
            if text is None:
                return
            if text.strip() and (values := _object(text)).keys() != {"_comment"}:
                yield Row(line, values, reader.first_taken, reader.ends_open)
        except (ValueError, RecursionError) as error:
            reason = str(error) if not isinstance(error, RecursionError) else "nested too deeply"
            yield _refused(reader, line, reason)
        reader.commit()


def _refused(reader: LineReader, line: int, reason: str) -> Row:
    raw = reader.first_taken
    return Row(line, Refusal(f"line {line}", reason, raw), raw, reader.ends_open)


def _csv_reader(reader: LineReader, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_ROW_BYTES)
    # strict: an unclosed quote is an error here, not a field that swallows the file.
    return csv.reader(iter(reader.take, None), delimiter=delimiter, strict=True)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except json.JSONDecodeError as error:
        # The library's message may quote the line; where it broke is enough.
        raise ValueError(f"not JSON at column {error.colno}") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
