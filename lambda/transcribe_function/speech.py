"""Speech to text: Whisper by faster-whisper, on CTranslate2 with 8-bit weights.

https://github.com/SYSTRAN/faster-whisper
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from faster_whisper import WhisperModel, download_model  # type: ignore[import-untyped]
from numpy.typing import NDArray
from sentiment_function.wire import BadRequest

from transcribe_function.wire import Segment, Transcript

RATE = 16_000
"""Samples a second, as Whisper takes them."""

WINDOW_S = 600.0
"""Of a recording that is longer, one call transcribes so much: memory, and the time of a call, are
bounded by it."""

CUT_S = 2.0
"""A segment that ends so near to its window's end may have been cut in the middle."""

RESERVE_S = 20.0
"""Of a call's time kept back for the answer: what was transcribed until then is one."""


class SpeechModel:
    """A model, loaded."""

    def __init__(self, model: str) -> None:
        """`model` is a folder with CTranslate2's files, or a name at Hugging Face that is fetched
        if it is not there. Raises ValueError where there is no such model."""
        folder = Path(model) if Path(model).is_dir() else Path(download_model(model))
        # One call at a time has the whole environment: all of its processors.
        self._model: Any = WhisperModel(
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
        samples, is_end = _samples(audio, from_s, window_s)
        end_s = from_s + len(samples) / RATE
        if not len(samples):
            return Transcript(
                (), from_s, end_s, is_done=True, language=None, language_probability=0.0
            )
        # Silence is cut out first: Whisper writes words for it. Each window of 30 seconds stands
        # for itself: one that went wrong does not lead the next one astray.
        found, about = self._model.transcribe(
            samples, language=language, vad_filter=True, condition_on_previous_text=False
        )
        segments: list[Segment] = []
        for segment in _moved(found, from_s):
            segments.append(segment)
            if remaining_s() < RESERVE_S:
                return Transcript(segments, from_s, segment.end_s, is_done=False,
                             language=about.language,
                             language_probability=about.language_probability)  # fmt: skip
        may_be_cut = not is_end and len(segments) > 1 and segments[-1].end_s > end_s - CUT_S
        if may_be_cut:
            end_s = segments.pop().start_s
        segments = [segment for segment in segments if segment.text]
        return Transcript(
            segments, from_s, end_s, is_end, about.language, about.language_probability
        )


def _moved(found: Iterator[Any], from_s: float) -> Iterator[Segment]:
    for segment in found:
        yield Segment(
            from_s + segment.start,
            from_s + segment.end,
            segment.text.strip(),
            min(1.0, math.exp(segment.avg_logprob)),
        )


def _samples(audio: IO[bytes], from_s: float, most_s: float) -> tuple[NDArray[np.float32], bool]:
    """Samples from a place on, mono, each in [-1, 1]; is the recording's end among them? Each call
    decodes from the beginning, as a stream: memory does not grow with the recording. Raises
    BadRequest."""
    first, count = round(from_s * RATE), round(most_s * RATE)
    kept: list[NDArray[np.int16]] = []
    at = 0
    try:
        with _opened(audio) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for block in _blocks(container, resampler):
                part = block[max(0, first - at) :]
                at += len(block)
                if len(part):  # an empty one would keep its block alive
                    kept.append(part)
                if at > first + count:
                    break
    except (av.FFmpegError, IndexError, ValueError) as error:
        if not at:
            raise BadRequest("the file is not readable audio", 422) from error
        # A recording that breaks off is transcribed as far as it goes.
    samples = np.concatenate(kept) if kept else np.zeros(0, np.int16)
    return samples[:count].astype(np.float32) / 32768.0, at <= first + count


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
