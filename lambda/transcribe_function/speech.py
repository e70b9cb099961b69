"""Speech to text: Whisper by faster-whisper, on CTranslate2 with 8-bit weights.

https://github.com/SYSTRAN/faster-whisper
"""

from __future__ import annotations

import hashlib
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from faster_whisper import WhisperModel, download_model  # type: ignore[import-untyped]
from numpy.typing import NDArray
from sentiment_function.wire import BadRequest

from transcribe_function import decoding
from transcribe_function.decoding import RATE
from transcribe_function.wire import Segment, Transcript

SMALLEST = 1e-6
"""Of a word's probability: a mean of logarithms knows no zero."""

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

RESERVE_S, RESERVE_SHARE = 20.0, 0.1
"""Of a call's time kept back for the answer, at most: what was transcribed until then is one."""

STEP_MARGIN = 1.5
"""The next step may take so much longer than the longest one until now."""


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
        samples, is_end, is_broken_off = decoding.samples(audio, from_s, window_s)
        end_s = from_s + len(samples) / RATE
        if not len(samples):
            return Transcript((), from_s, end_s, is_done=True, language=None,
                              language_probability=0.0, is_broken_off=is_broken_off)  # fmt: skip
        segments, about, had_time = self._heard(samples, language, from_s, remaining_s)
        if not had_time:
            end_s, is_end, is_broken_off = segments[-1].end_s, False, False
        elif not is_end and segments and segments[-1].end_s > end_s - CUT_S:
            begins_s = _before(segments, from_s)
            if begins_s >= from_s + SHORTEST_S:
                segments.pop()
                end_s = begins_s
        segments = [segment for segment in segments if segment.text]
        return Transcript(segments, from_s, end_s, is_end, about.language,
                          about.language_probability, is_broken_off)  # fmt: skip

    def _heard(
        self,
        samples: NDArray[np.float32],
        language: str | None,
        from_s: float,
        remaining_s: Callable[[], float],
    ) -> tuple[list[Segment], Any, bool]:
        """The segments, what is known of the language, and did the time suffice?"""
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
            return segments, about, False
        return segments, about, True


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
