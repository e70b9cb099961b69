"""Speech to text: Whisper by faster-whisper, on CTranslate2 with 8-bit weights.

https://github.com/SYSTRAN/faster-whisper
"""

from __future__ import annotations

import hashlib
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from faster_whisper import WhisperModel, download_model  # type: ignore[import-untyped]
from numpy.typing import NDArray
from sentiment_function.wire import BadRequest

from transcribe_function.wire import MAX_BYTES, Segment, Transcript

SMALLEST = 1e-6
"""Of a word's probability: a mean of logarithms knows no zero."""

RATE = 16_000
"""Samples a second, as Whisper takes them."""

WINDOW_S = 600.0
"""Of a recording that is longer, one call transcribes so much: memory, and the time of a call, are
bounded by it."""

CUT_S = 2.0
"""A segment that ends so near to its window's end may have been cut in the middle."""

BEFORE_S = 0.5
"""A word's time may be a little late: the next window begins so long before it, at most."""

SHORTEST_S = 1.0
"""Of a window that is not the last: the worker takes a shorter one for a standstill."""

PAUSE_S = 2.0
"""Words that stand further apart are two segments. Silence is cut out before the model hears a
recording: it writes what was said minutes apart as one."""

LONGEST_S = 24 * 3600.0
"""A recording that says it is longer is refused: each of its windows is a call that costs."""

LOWEST_RATE = 4_000
"""Samples a second; half of a telephone's. With fewer, speech cannot be understood."""

RESERVE_S, RESERVE_SHARE = 20.0, 0.1
"""Of a call's time kept back for the answer, at most: what was transcribed until then is one."""

STEP_MARGIN = 1.5
"""The next step may take so much longer than the longest one until now."""

HAS_A_LENGTH = ("flac", "wav")
"""Formats whose length is exact; of others it is an estimate, or counts gaps."""

MISSING_S, MISSING_SHARE = 1.0, 0.01
"""Of a recording that is shorter than its header says, by so much or more, something is missing."""


class _OutOfTime(Exception):
    """There is no time for another step."""


class _SteppedModel(WhisperModel):  # type: ignore[misc]
    """Asks before each step, which is up to 30 seconds of speech."""

    before_step: Callable[[], None] = staticmethod(lambda: None)

    def encode(self, features: Any) -> Any:
        self.before_step()
        return super().encode(features)


class SpeechModel:
    """A model, loaded."""

    def __init__(self, model: str) -> None:
        """`model` is a folder with CTranslate2's files, or a name at Hugging Face that is fetched
        if it is not there. Raises ValueError where there is no such model."""
        folder = Path(model) if Path(model).is_dir() else Path(download_model(model))
        # One call at a time has the whole environment: all of its processors.
        self._model: Any = _SteppedModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1
        )
        self.name = os.environ.get("TRANSCRIPTION_MODEL_NAME") or (
            folder.name if Path(model).is_dir() else model
        )
        self.version = _digest(folder)
        self.languages: list[str] = list(self._model.supported_languages)

    def transcribe(
        self,
        audio: IO[bytes],
        *,
        language: str | None = None,
        from_s: float = 0.0,
        window_s: float = WINDOW_S,
        remaining_s: Callable[[], float] = lambda: math.inf,
    ) -> Transcript:
        """What is said from `from_s` on, for at most `window_s`, or as far as `remaining_s` goes.

        Raises BadRequest for what is no audio, and for a language that the model does not know.
        """
        if language is not None and language not in self.languages:
            known = ", ".join(self.languages[:10])
            raise BadRequest(f"the model does not know the language {language}; it knows {known}")
        samples, is_end, is_broken_off = _samples(audio, from_s, window_s)
        end_s = from_s + len(samples) / RATE
        if not len(samples):
            return Transcript((), from_s, end_s, is_done=True, language=None,
                              language_probability=0.0, is_broken_off=is_broken_off)  # fmt: skip
        segments: list[Segment] = []
        # A call of less than a second's speech would be no progress.
        self._model.before_step = _time_keeper(
            remaining_s, lambda: bool(segments) and segments[-1].end_s >= from_s + SHORTEST_S
        )
        # Silence is cut out first: Whisper writes words for it. Each window of 30 seconds stands
        # for itself: one that went wrong does not lead the next one astray.
        found, about = self._model.transcribe(
            samples,
            language=language,
            vad_filter=True,
            condition_on_previous_text=False,
            word_timestamps=True,
        )
        try:
            for segment in found:
                segments += _parts(segment, from_s)
        except _OutOfTime:
            end_s, is_end, is_broken_off = segments[-1].end_s, False, False
        else:
            if not is_end and segments and segments[-1].end_s > end_s - CUT_S:
                begins_s = _before(segments, from_s)
                if begins_s >= from_s + SHORTEST_S:
                    segments.pop()
                    end_s = begins_s
        segments = [segment for segment in segments if segment.text]
        return Transcript(segments, from_s, end_s, is_end, about.language,
                          about.language_probability, is_broken_off)  # fmt: skip


def _time_keeper(
    remaining_s: Callable[[], float], may_end: Callable[[], bool]
) -> Callable[[], None]:
    """To be called before each step. Raises _OutOfTime where there may be no time for it, and what
    was heard is worth an answer."""
    reserve_s = min(RESERVE_S, RESERVE_SHARE * remaining_s())
    longest_s, began = 0.0, 0.0

    def before_step() -> None:
        nonlocal longest_s, began
        now = time.monotonic()
        longest_s = max(longest_s, now - began) if began else 0.0
        began = now
        if may_end() and remaining_s() < max(reserve_s, STEP_MARGIN * longest_s):
            raise _OutOfTime

    return before_step


def _before(segments: Sequence[Segment], from_s: float) -> float:
    """Where the next window begins, so that it hears the last segment whole: in the pause before
    it."""
    ended_s = segments[-2].end_s if len(segments) > 1 else from_s
    return max((ended_s + segments[-1].start_s) / 2, segments[-1].start_s - BEFORE_S)


def _parts(segment: Any, from_s: float) -> list[Segment]:
    """What was said without a pause, of a segment of the model."""
    words: list[Any] = segment.words or []
    edges = [n for n in range(1, len(words)) if words[n].start - words[n - 1].end > PAUSE_S]
    return [
        _segment(words[first:end], from_s)
        for first, end in pairwise([0, *edges, len(words)])
        if first < end
    ]


def _segment(words: Sequence[Any], from_s: float) -> Segment:
    likely = [max(float(word.probability), SMALLEST) for word in words]
    return Segment(
        from_s + float(words[0].start),
        from_s + max(float(words[0].start), float(words[-1].end)),
        "".join(word.word for word in words).strip(),
        min(1.0, statistics.geometric_mean(likely)),
    )


def _samples(
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
    samples = np.concatenate(kept) if kept else np.zeros(0, np.int16)
    is_end = at <= first + count
    missing_s = promised_s - at / RATE
    is_broken_off |= missing_s > max(MISSING_S, MISSING_SHARE * promised_s)
    return samples[:count].astype(np.float32) / 32768.0, is_end, is_end and is_broken_off


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


def _digest(folder: Path) -> str:
    """A model's version, of its files: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()[:12]
