"""Packed files are unpacked to their last byte, and a cut one says that it is cut."""

from __future__ import annotations

import gzip
import io
import random
from functools import partial
from typing import IO, cast

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from worker.sources.files import unpacking
from worker.sources.files.unpacking import Bomb, Measured, Zstd

DULL = b"a row of text\n" * 5_000
ODD = random.Random(5).randbytes(70_000)
"""Does not pack: its frame is many slices long."""


def pack(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def unpacked(packed: bytes, size: int = 1 << 20) -> bytes:
    return b"".join(iter(partial(Zstd(io.BytesIO(packed)).read1, size), b""))


frames = st.lists(st.sampled_from([b"", b"x", DULL, ODD]), max_size=4)


@given(frames, st.sampled_from([1000, 1 << 20]))
def test_frames_one_after_another_are_one_file(parts: list[bytes], size: int) -> None:
    assert unpacked(b"".join(map(pack, parts)), size) == b"".join(parts)


def test_no_more_is_handed_out_than_was_asked_for() -> None:
    reader = Zstd(io.BytesIO(pack(DULL)))
    assert len(reader.read1(7)) == 7
    assert reader.read1(7) == DULL[7:14]


@pytest.mark.parametrize("data", [DULL, ODD])
@pytest.mark.parametrize("before", [b"", b"whole\n"])
def test_a_cut_anywhere_is_an_error_after_what_came_before_it(data: bytes, before: bytes) -> None:
    first, last = pack(before), pack(data)
    for kept in range(1, len(last), len(last) // 9):
        pieces = iter(partial(Zstd(io.BytesIO(first + last[:kept])).read1, 1 << 20), b"")
        found: list[bytes] = []
        with pytest.raises(EOFError):
            found.extend(pieces)
        assert (before + data).startswith(b"".join(found))
        assert len(b"".join(found)) >= len(before)


def test_what_is_no_zstandard_behind_a_frame_is_an_error() -> None:
    with pytest.raises(unpacking.UNPACK_ERRORS):
        unpacked(pack(b"whole") + b"id,text\n" * 100)


def test_a_bomb_is_refused_at_its_limit_and_what_packs_well_is_not() -> None:
    for size, refused in ((10_000, False), (10_001, True)):
        raw = io.BytesIO(gzip.compress(bytes(size)))
        unpacked = Measured(gzip.GzipFile(fileobj=raw), raw, packed_size=1, bomb_bytes=10_000)
        file = io.BufferedReader(unpacked)
        if refused:
            with pytest.raises(Bomb):
                file.read()
        else:
            assert len(file.read()) == size


def test_closing_it_closes_what_it_reads_from() -> None:
    raw = io.BytesIO(gzip.compress(b"x"))
    io.BufferedReader(Measured(gzip.GzipFile(fileobj=raw), cast("IO[bytes]", raw), 1)).close()
    assert raw.closed
