"""The wire format between worker and transcription function, as the worker speaks it. Pure.

Request   {"audio": "<base64>"} or {"s3": "s3://bucket/key", "etag": "..."}, with "from" (seconds)
          and perhaps "language"
Answer    {"statusCode": 200, "body": {"segments": [{"start", "end", "text", "confidence"}],
           "until", "done", "broken_off", "language", "model", "model_version"}}; or 4xx with
          {"error": "..."}
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from worker.clean import storable
from worker.errors import ConfigurationError, SourceUnavailable
from worker.speech import Recording, RecordingRefused, Segment, TranscriptWindow

RECORDING_REFUSED = (413, 422)
"""It is too large, or no audio."""

SHORTEST_WINDOW_S = 1.0
"""Of a window that is not the last: less, and a recording would have no end."""

MAX_REASON_CHARS = 200
"""Of a reason that the function gives, so many characters are repeated."""


class BadAnswer(ValueError):
    """The function answered, and the answer cannot be used."""


def encode(recording: Recording, from_s: float, language: str | None) -> bytes:
    request: dict[str, Any] = {"from": from_s} | ({"language": language} if language else {})
    if recording.content is None:
        request |= {"s3": recording.path, "etag": recording.etag}
    else:
        request["audio"] = base64.b64encode(recording.content).decode("ascii")
    return json.dumps(request).encode()


def decode(payload: bytes, from_s: float) -> TranscriptWindow:
    """Verify an answer. Raises BadAnswer, RecordingRefused for a recording that is none, and
    ConfigurationError for a request that would always be refused,
    SourceUnavailable for a recording that has changed."""
    try:
        answer = json.loads(payload)
        body = answer["body"]
        body = json.loads(body) if isinstance(body, str) else body
        status = answer["statusCode"]
        if status != 200:
            _refuse(status, body)
        window = TranscriptWindow(
            tuple(_segment(each) for each in body["segments"]),
            _seconds(body["until"]),
            body["done"] is True,
            _text(body["language"]) if body["language"] is not None else None,
            _text(body["model"]),
            _text(body["model_version"]),
            body.get("broken_off") is True,
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        if isinstance(error, BadAnswer):
            raise
        raise BadAnswer("The function's answer is not one of a transcription function.") from error
    if not window.is_last and window.until_s < from_s + SHORTEST_WINDOW_S:
        raise BadAnswer("The function does not move on, and says that there is more.")
    return window


def _refuse(status: Any, body: Any) -> None:
    said = body.get("error") if isinstance(body, dict) else None
    why = storable(str(said))[:MAX_REASON_CHARS] if said else f"status {status}"
    if status in RECORDING_REFUSED:
        raise RecordingRefused(f"the function refuses it: {why}")
    if status in (404, 409):
        raise SourceUnavailable(f"The recording is not there any more: {why}.")
    if status == 403:
        raise ConfigurationError(
            f"The transcription function may not read the recording: {why}.",
            hint="Set AUDIO_BUCKET of its stack; see lambda/README.md.",
        )
    if status == 400:
        raise ConfigurationError(f"The transcription function refuses the request: {why}.")
    raise BadAnswer(f"The function answered: {why}.")


def _segment(said: Any) -> Segment:
    start, end = _seconds(said["start"]), _seconds(said["end"])
    confidence = said["confidence"]
    if type(confidence) not in (int, float) or not 0.0 <= confidence <= 1.0 or end < start:
        raise BadAnswer("A segment of the function's answer makes no sense.")
    if type(said["text"]) is not str:
        raise BadAnswer("A segment of the function's answer has no text.")
    return Segment(start, end, storable(said["text"]), float(confidence))


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not (math.isfinite(value) and value >= 0):
        raise BadAnswer("The function's answer names a time that is none.")
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str or not value:
        raise BadAnswer("The function's answer lacks its model or its language.")
    return storable(value[:200])
