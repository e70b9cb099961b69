"""The transcription function: its faces, what it refuses, windows; and that the worker reads what
it writes. The model is real."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.speech import DELAYED, GERMAN, LOVE, MODEL, SAID, encoded
from worker.speech import Recording, RecordingRefused
from worker.transcription import wire


@pytest.fixture(scope="module")
def function() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRANSCRIPTION_MODEL", str(MODEL))
        from transcribe_function import handler

        yield handler


def in_base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def over_http(method: str, path: str, **more: Any) -> dict[str, Any]:
    context = {"stage": "$default", "http": {"method": method, "path": path}}
    return {"version": "2.0", "rawPath": path, "requestContext": context, "headers": {}} | more


def test_hears_what_is_said(function: ModuleType) -> None:
    answer = function.handler({"audio": in_base64(DELAYED)}, None)
    body = answer["body"]
    assert (answer["statusCode"], body["text"]) == (200, SAID[DELAYED])
    assert (body["language"], body["done"]) == ("en", True)
    assert 4.5 < body["until"] < 5.5
    assert 0.5 < body["confidence"] <= 1.0


@pytest.mark.parametrize("ending", [".wav", ".mp3", ".m4a", ".flac"])
def test_formats(function: ModuleType, tmp_path: Path, ending: str) -> None:
    recording = encoded(DELAYED, tmp_path / f"r{ending}")
    answer = function.handler({"audio": in_base64(recording)}, None)
    assert answer["body"]["text"] == SAID[DELAYED]


@pytest.mark.parametrize(
    "event",
    [
        over_http("POST", "/transcribe", body=json.dumps({"audio": in_base64(LOVE)})),
        over_http("POST", "/transcribe", body=in_base64(LOVE), isBase64Encoded=True,
                  headers={"Content-Type": "audio/ogg"}),
        {"httpMethod": "POST", "path": "/transcribe", "body": in_base64(LOVE),
         "isBase64Encoded": True, "headers": {"content-type": "application/octet-stream"}},
    ],
)  # fmt: skip
def test_over_http(function: ModuleType, event: dict[str, Any]) -> None:
    answer = function.handler(event, None)
    assert (answer["statusCode"], json.loads(answer["body"])["text"]) == (200, SAID[LOVE])


def test_health_and_warm_up(function: ModuleType) -> None:
    health = json.loads(function.handler(over_http("GET", "/health"), None)["body"])
    assert (health["status"], health["languages"]) == ("ok", ["en"])
    assert function.handler({"warmup": True}, None)["body"] == {"warm": True}


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({}, 400),
        (None, 400),
        ([], 400),
        ({"audio": "not base64!"}, 400),
        ({"audio": ""}, 422),
        ({"audio": 17}, 400),
        ({"audio": "aGVsbG8=", "s3": "s3://a/b"}, 400),
        ({"s3": "https://elsewhere/a.mp3"}, 400),
        ({"s3": "s3://bucket"}, 400),
        ({"audio": "aGVsbG8=", "from": float("nan")}, 400),
        ({"audio": "aGVsbG8=", "from": -1}, 400),
        ({"audio": "aGVsbG8=", "from": 10**400}, 400),
        ({"audio": "aGVsbG8=", "language": "deutsch, bitte"}, 400),
        ({"audio": base64.b64encode(b"RIFF" + bytes(500)).decode()}, 422),
        (over_http("GET", "/transcribe"), 405),
        (over_http("POST", "/sentiment", body="{}"), 404),
        (over_http("POST", "/transcribe", body="x", headers={"content-type": "audio/mp3"}), 400),
    ],
)
def test_what_is_no_request(function: ModuleType, event: Any, status: int) -> None:
    answer = function.handler(event, None)
    body = answer["body"] if isinstance(answer["body"], dict) else json.loads(answer["body"])
    assert answer["statusCode"] == status
    assert body["error"]


def test_a_language_that_the_model_does_not_know(function: ModuleType) -> None:
    answer = function.handler({"audio": in_base64(GERMAN), "language": "de"}, None)
    assert answer["statusCode"] == 400
    assert "does not know the language de" in answer["body"]["error"]


def test_speech_that_the_model_does_not_know_is_heard_with_little_confidence(
    function: ModuleType,
) -> None:
    body = function.handler({"audio": in_base64(GERMAN)}, None)["body"]
    assert body["confidence"] < 0.4


def test_an_object_of_s3(function: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cloud() as cloud:
        for name, value in cloud.variables.items():
            monkeypatch.setenv(name, value)
        cloud.s3.put_object(Bucket="drop", Key="a b/calls+1.ogg", Body=DELAYED.read_bytes())
        etag = cloud.s3.head_object(Bucket="drop", Key="a b/calls+1.ogg")["ETag"]
        asked = {"s3": "s3://drop/a b/calls+1.ogg"}
        assert function.handler(asked, None)["body"]["text"] == SAID[DELAYED]
        assert function.handler(asked | {"etag": etag}, None)["statusCode"] == 200
        assert function.handler(asked | {"etag": '"another"'}, None)["statusCode"] == 409
        assert function.handler({"s3": "s3://drop/none.ogg"}, None)["statusCode"] == 404


def test_what_comes_after_a_damaged_place_is_transcribed(
    function: ModuleType, tmp_path: Path
) -> None:
    recording = encoded(DELAYED, tmp_path / "long.mp3", times=4)
    content = bytearray(recording.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\x00" * 400
    heard = function.model().transcribe(io.BytesIO(content))
    assert heard.until_s > 18
    assert heard.text.count("delayed") >= 3


def test_windows_join(function: ModuleType, tmp_path: Path) -> None:
    """What is heard in windows of 7 seconds of a recording of 20 is what is heard at once."""
    recording = encoded(DELAYED, tmp_path / "long.wav", times=4)
    model, from_s, segments, ends = function.model(), 0.0, [], []
    while True:
        heard = model.transcribe(io.BytesIO(recording.read_bytes()), from_s=from_s, window_s=7.0)
        segments += heard.segments
        ends.append(heard.until_s)
        if heard.is_done:
            break
        from_s = heard.until_s
    assert len(ends) > 2
    assert ends == sorted(set(ends))
    assert " ".join(segment.text for segment in segments).count("delayed") == 4
    assert all(before.end_s <= after.start_s for before, after in pairwise(segments))


def test_what_is_heard_until_time_runs_out_is_an_answer(
    function: ModuleType, tmp_path: Path
) -> None:
    recording = encoded(DELAYED, tmp_path / "long.wav", times=3)
    audio = io.BytesIO(recording.read_bytes())
    heard = function.model().transcribe(audio, remaining_s=lambda: 5.0)
    assert (len(heard.segments), heard.is_done) == (1, False)
    assert heard.until_s == heard.segments[0].end_s > 0


def test_the_worker_reads_what_the_function_writes(function: ModuleType) -> None:
    recording = Recording("r", b"", DELAYED.read_bytes())
    for request in (wire.encode(recording, 0.0, None), wire.encode(recording, 0.0, "en")):
        answer = json.dumps(function.handler(json.loads(request), None)).encode()
        heard = wire.decode(answer, 0.0)
        assert [segment.text for segment in heard.segments] == [SAID[DELAYED]]
        assert (heard.language, heard.is_last) == ("en", True)
    refused = json.dumps(function.handler({"audio": "UklGRg=="}, None)).encode()
    with pytest.raises(RecordingRefused, match="not readable audio"):
        wire.decode(refused, 0.0)
