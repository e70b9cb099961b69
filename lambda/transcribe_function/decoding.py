"""Recordings as samples, by FFmpeg's libraries (PyAV). https://pyav.org"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any

import av
import numpy as np
from numpy.typing import NDArray
from sentiment_function.wire import BadRequest

from transcribe_function.wire import MAX_BYTES

RATE = 16_000
"""Samples a second, as Whisper takes them."""

LONGEST_S = 24 * 3600.0
"""A recording that says it is longer is refused: each of its windows is a call that costs."""

LOWEST_RATE = 4_000
"""Samples a second; half of a telephone's. With fewer, speech cannot be understood."""

HAS_A_LENGTH = ("flac", "wav")
"""Formats whose length is exact; of others it is an estimate, or counts gaps."""

MISSING_S, MISSING_SHARE = 1.0, 0.01
"""Of a recording that is shorter than its header says, by so much or more, something is missing."""


def samples(
    audio: IO[bytes], from_s: float, most_s: float
) -> tuple[NDArray[np.float32], bool, bool]:
    """Samples from a place on, mono, each in [-1, 1]; is the recording's end among them; and does
    it end before it should? Each call decodes from the beginning, as a stream: memory does not grow
    with the recording, and an hour takes 3 seconds. Raises BadRequest."""
    first, count = round(from_s * RATE), round(most_s * RATE)
    kept: list[NDArray[np.int16]] = []
    at, promised_s = 0, 0.0
    is_broken_off = _is_cut_wav(audio)
    try:
        with _opened(audio) as container:
            promised_s = _promised_s(container)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for block in _blocks(container, resampler):
                part = block[max(0, first - at) :]
                at += len(block)
                if len(part):  # an empty one would keep its block alive
                    kept.append(part)
                if at > first + count:
                    break
    except BadRequest:
        raise
    except (av.FFmpegError, IndexError, ValueError) as error:
        if not at:
            raise BadRequest("the file is not readable audio", 422) from error
        is_broken_off = True  # it is transcribed as far as it goes
    found = np.concatenate(kept) if kept else np.zeros(0, np.int16)
    is_end = at <= first + count
    missing_s = promised_s - at / RATE
    is_broken_off |= missing_s > max(MISSING_S, MISSING_SHARE * promised_s)
    return found[:count].astype(np.float32) / 32768.0, is_end, is_end and is_broken_off


def _promised_s(container: Any) -> float:
    """How long the recording is, by its header; 0 where that is not said exactly. Raises
    BadRequest for what is too long, or has too few samples a second, to be speech."""
    stream = container.streams.audio[0]
    if stream.sample_rate and stream.sample_rate < LOWEST_RATE:
        raise BadRequest(
            f"the recording has {stream.sample_rate:,} samples a second, and speech needs"
            f" {LOWEST_RATE:,}",
            422,
        )
    if container.format.name not in HAS_A_LENGTH:
        return 0.0
    seconds = float(container.duration or 0) / av.time_base
    if seconds > LONGEST_S:
        raise BadRequest(
            f"the recording is {seconds / 3600:,.0f} hours long, and at most"
            f" {LONGEST_S / 3600:.0f} are transcribed: split it",
            422,
        )
    return seconds


def _is_cut_wav(audio: IO[bytes]) -> bool:
    """Is there less of the file than its header says? A recorder that writes to a pipe does not
    know the length: it says 0, or one of some numbers of gigabytes.
    http://soundfile.sapp.org/doc/WaveFormat/"""
    head = audio.read(8)
    size = int.from_bytes(head[4:8], "little")
    there = audio.seek(0, os.SEEK_END)
    audio.seek(0)
    return head[:4] == b"RIFF" and there < size <= MAX_BYTES


def _opened(audio: IO[bytes]) -> Any:
    """A title in an odd encoding is no reason to refuse a recording: before PyAV 19 that has to be
    said."""
    try:
        return av.open(audio, metadata_errors="ignore")
    except TypeError:
        return av.open(audio)


def _blocks(container: Any, resampler: Any) -> Iterator[NDArray[np.int16]]:
    for packet in container.demux(audio=0):
        for frame in _frames(packet):
            frame.pts = None  # some files count wrongly, and the resampler would refuse them
            for part in resampler.resample(frame):
                yield part.to_ndarray().reshape(-1)
    for part in resampler.resample(None):
        yield part.to_ndarray().reshape(-1)


def _frames(packet: Any) -> list[Any]:
    """None of a damaged packet: what comes after it can be heard."""
    try:
        return list(packet.decode())
    except av.FFmpegError:
        return []
