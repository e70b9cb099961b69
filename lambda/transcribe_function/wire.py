"""The wire format, as the function speaks it. Pure.

Request   {"audio": "<base64>"} or {"s3": "s3://bucket/key", "etag": "..."};
          "language" (a code; else it is detected) and "from" (seconds) may be said, too
Answer    {"text", "language", "language_probability", "confidence", "segments": [{"start", "end",
           "text", "confidence"}], "from", "until", "done", "broken_off", "model", "model_version"}

"broken_off" says that the recording ends before it should: something of it is missing.
One call transcribes a window of the recording (`speech.WINDOW_S`). Where "done" is false there is
more: ask again with "from" set to "until". Over HTTP the body may be the audio itself, with
a content type of audio/... .

Speech is always a recording of somebody: nothing of it, and nothing of the text, is logged.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sentiment_function.wire import BadRequest

MAX_BYTES = 1 << 30
"""Of a recording that lies in S3. One in the call itself is bounded by Lambda: 6 MB, in base64."""

MAX_FROM_S = 24 * 3600.0
"""A day: no longer recording is transcribed."""

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_PLACE = re.compile(r"s3://([^/]+)/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """An object of S3."""

    bucket: str
    key: str
    etag: str | None
    """Of the content that is meant; None takes what is there."""


@dataclass(frozen=True, slots=True)
class Request:
    audio: bytes | Place
    language: str | None
    """An ISO 639 code; None where it is to be detected."""
    from_s: float


@dataclass(frozen=True, slots=True)
class Segment:
    """What was said without a pause."""

    start_s: float
    end_s: float
    text: str
    confidence: float
    """The mean probability of its words, in [0, 1]; geometric."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in a window of a recording."""

    segments: Sequence[Segment]
    from_s: float
    until_s: float
    is_done: bool
    """There is no more of the recording."""
    language: str | None
    language_probability: float
    is_broken_off: bool = False
    """It ends before it should: something is missing."""

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    @property
    def confidence(self) -> float:
        """Of the segments, each by its length; 0 where nothing was said (the worker takes that for
        unknown)."""
        lengths = [segment.end_s - segment.start_s for segment in self.segments]
        if not sum(lengths):
            return 0.0
        weighted = sum(s.confidence * n for s, n in zip(self.segments, lengths, strict=True))
        return weighted / sum(lengths)


def read(request: Any) -> Request:
    """Raises BadRequest, which never quotes the request."""
    if not isinstance(request, dict) or ("audio" in request) == ("s3" in request):
        raise BadRequest('send {"audio": "<base64>"} or {"s3": "s3://bucket/key"}')
    language = request.get("language")
    if language is not None and not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
        raise BadRequest('language must be a code, like "en"')
    from_s = request.get("from", 0)
    if type(from_s) not in (int, float) or not 0 <= from_s <= MAX_FROM_S:
        raise BadRequest("from must be a number of seconds, 0 or more")
    audio = _audio(request["audio"]) if "audio" in request else _place(request)
    return Request(audio, language, float(from_s))


def _audio(said: Any) -> bytes:
    try:
        found = base64.b64decode(said, validate=True)
    except (TypeError, ValueError):
        raise BadRequest("audio must be a file's bytes in base64") from None
    if not found:
        raise BadRequest("the file is not readable audio: it is empty", 422)
    return found


def _place(request: dict[str, Any]) -> Place:
    place, etag = request["s3"], request.get("etag")
    found = _PLACE.fullmatch(place) if isinstance(place, str) else None
    if found is None or not (etag is None or isinstance(etag, str)):
        raise BadRequest("s3 must name an object: s3://bucket/key; etag is text")
    return Place(found[1], found[2], etag)


def with_audio_in_json(event: Any) -> Any:
    """A call over HTTP whose body is the audio itself, as one whose body is JSON."""
    if not isinstance(event, dict) or not isinstance(event.get("headers"), dict):
        return event
    headers = {str(name).lower(): value for name, value in event["headers"].items()}
    kind = str(headers.get("content-type", ""))
    if not kind.startswith(("audio/", "application/octet-stream", "video/")):
        return event
    if not event.get("isBase64Encoded") or not isinstance(event.get("body"), str):
        raise BadRequest("the body did not arrive as bytes: is the audio type binary for the API?")
    # Base64 has no character that JSON would escape.
    return event | {"body": f'{{"audio": "{event["body"]}"}}', "isBase64Encoded": False}


def answer(transcript: Transcript, *, model: str, version: str) -> dict[str, Any]:
    return {
        "text": transcript.text,
        "language": transcript.language,
        "language_probability": round(transcript.language_probability, 4),
        "confidence": round(transcript.confidence, 4),
        "segments": [
            {
                "start": round(segment.start_s, 2),
                "end": round(segment.end_s, 2),
                "text": segment.text,
                "confidence": round(segment.confidence, 4),
            }
            for segment in transcript.segments
        ],
        "from": round(transcript.from_s, 2),
        "until": round(transcript.until_s, 2),
        "done": transcript.is_done,
        "broken_off": transcript.is_broken_off,
        "model": model,
        "model_version": version,
    }
