"""What the worker makes of a transcription function's answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker.transcription import wire

GOOD: dict[str, Any] = {
    "segments": [{"start": 0, "end": 1.5, "text": "hello", "confidence": 0.5}],
    "until": 1.5, "done": True, "language": "en", "model": "m", "model_version": "1",
}  # fmt: skip


def answered(**changes: Any) -> bytes:
    return json.dumps({"statusCode": 200, "body": GOOD | changes}).encode()


def test_an_answer_is_read() -> None:
    assert wire.decode(answered(), 0.0).segments[0].text == "hello"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b'{"statusCode": 200}',
        json.dumps({"statusCode": 500, "body": {"error": "broken"}}).encode(),
        answered(segments=None),
        answered(segments=[{"start": 1, "end": 0, "text": "x", "confidence": 0.5}]),
        answered(segments=[{"start": 0, "end": 1, "text": 5, "confidence": 0.5}]),
        answered(segments=[{"start": 0, "end": 1, "text": "x", "confidence": 7}]),
        answered(until=-1),
        answered(until=10**400),
        answered(until=0, done=False),
        answered(model=""),
        answered(language=7),
    ],
)
def test_an_answer_that_cannot_be_used(payload: bytes) -> None:
    with pytest.raises(wire.BadAnswer):
        wire.decode(payload, 0.0)
