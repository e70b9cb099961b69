"""One wire format of transcription, held together by golden payloads that both sides read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transcribe_function import wire as function_wire

from worker.speech import Recording, Segment, TranscriptWindow
from worker.transcription import wire

GOLDEN = json.loads((Path(__file__).parent / "golden" / "transcription.json").read_text("utf-8"))


def by_what(case: dict[str, Any]) -> str:
    return str(case["what"])


@pytest.mark.parametrize("case", GOLDEN["requests"], ids=by_what)
def test_what_is_asked(case: dict[str, Any]) -> None:
    content = case["content"].encode() if "content" in case else None
    path, etag = case.get("path", "r"), case.get("etag", "")
    recording = Recording(path, b"", content, etag)
    assert json.loads(wire.encode(recording, case["from"], case["language"])) == case["request"]
    read = function_wire.read(case["request"])
    bucket, _, key = path.removeprefix("s3://").partition("/")
    audio = content or function_wire.Place(bucket, key, etag)
    assert read == function_wire.Request(audio, case["language"], case["from"])


@pytest.mark.parametrize("case", GOLDEN["answers"], ids=by_what)
def test_what_is_answered(case: dict[str, Any]) -> None:
    said = function_wire.Transcript(
        [function_wire.Segment(*each) for each in case["segments"]],
        case["from"],
        case["until"],
        case["done"],
        case["language"],
        case["language_probability"],
        case["broken_off"],
    )
    body = function_wire.answer(said, model="whisper", version="0123456789ab")
    assert body == case["body"]
    heard = wire.decode(json.dumps({"statusCode": 200, "body": body}).encode(), case["from"])
    assert heard == TranscriptWindow(
        tuple(Segment(*each) for each in case["segments"]),
        case["until"],
        case["done"],
        case["language"],
        "whisper",
        "0123456789ab",
        case["broken_off"],
    )
