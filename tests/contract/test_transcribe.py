"""The transcription function: its faces, what it refuses, windows; and that the worker reads what
it writes. The model is real."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from transcribe_function import decoding

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
    assert body["confidence"] < 0.5


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


def test_what_is_heard_until_time_runs_out_is_an_answer(function: ModuleType) -> None:
    """All of the steps that were made, and not a word of the one that was not begun."""
    steps = iter([2000.0, 1900.0, 19.0])  # at the beginning, and before each step but the first
    model = function.model()
    often: list[Path | float] = [DELAYED, 0.6] * 12
    heard = model.transcribe(spoken(*often), remaining_s=lambda: next(steps))
    assert not heard.is_done
    assert heard.text.count("delayed") > 5  # more than one step of 30 seconds
    assert 35.0 < heard.until_s == heard.segments[-1].end_s < 66.0
    rest = model.transcribe(spoken(*often), from_s=heard.until_s)
    assert heard.text.count("delayed") + rest.text.count("delayed") == 12


def test_a_step_that_may_take_too_long_is_not_begun(function: ModuleType) -> None:
    left = iter([1.0, 0.11])  # more than a tenth, and less than a step of 30 seconds takes
    heard = function.model().transcribe(spoken(*[DELAYED] * 9), remaining_s=lambda: next(left))
    assert not heard.is_done
    assert heard.text.count("delayed") > 3  # those of the first step


@pytest.mark.parametrize("at_s", [596.4, 596.6, 597.5, 599.4])
@pytest.mark.parametrize("before", [True, False])
def test_speech_over_a_windows_end_is_heard_whole_by_the_next(
    function: ModuleType, at_s: float, before: bool
) -> None:
    lead: list[Path | float] = [LOVE, at_s - 5.37] if before else [at_s]
    recording = spoken(*lead, DELAYED, 8.0)
    first = function.model().transcribe(recording)
    assert not first.is_done
    recording.seek(0)
    second = function.model().transcribe(recording, from_s=first.until_s)
    assert second.text.replace(" 3 ", " three ") == SAID[DELAYED]
    assert "delayed" not in first.text


def test_what_was_said_a_minute_apart_is_two_segments(function: ModuleType) -> None:
    """Although the silence between is not heard by the model."""
    heard = function.model().transcribe(spoken(DELAYED, 60.0, LOVE, 4.0, DELAYED))
    assert [segment.text for segment in heard.segments][:1] == [SAID[DELAYED]]
    (a, b), (_, _), *_, (_, _) = times = [(s.start_s, s.end_s) for s in heard.segments]
    assert 0 <= a < b < 5.5
    loved = [s for s in heard.segments if 64.0 < s.start_s < 71.0]
    assert "wonderful" in loved[-1].text
    assert 74.0 < times[-1][0] < 76.0
    assert all(end - start < 6.0 for start, end in times)


def test_confidence_is_of_what_was_said_and_not_of_what_stands_beside_it(
    function: ModuleType,
) -> None:
    heard = function.model().transcribe(spoken(DELAYED, 10.0, GERMAN))
    known = [s.confidence for s in heard.segments if s.end_s < 6.0]
    unknown = [s.confidence for s in heard.segments if s.start_s > 6.0]
    assert min(known) > 0.6
    assert max(unknown) < 0.5


def spoken(*parts: Path | float) -> io.BytesIO:
    """Recordings, and seconds of silence, after each other: WAV, 16 bits, 16,000 a second."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        for part in parts:
            if isinstance(part, Path):
                samples, *_ = decoding.samples(io.BytesIO(part.read_bytes()), 0.0, 600.0)
                file.writeframes((samples * 32767).astype(np.int16).tobytes())
            else:
                file.writeframes(bytes(2 * round(16_000 * part)))
    out.seek(0)
    return out


def test_too_few_samples_a_second_are_no_speech(function: ModuleType) -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 1, 0, "NONE", ""))
        file.writeframes(bytes(200_000))  # 28 hours
    answer = function.handler({"audio": base64.b64encode(out.getvalue()).decode()}, None)
    assert answer["statusCode"] == 422
    assert "has 1 samples a second, and speech needs 4,000" in answer["body"]["error"]


def flac_of(seconds: float, folder: Path) -> bytes:
    """Five seconds of speech, and a header that promises so many."""
    content = bytearray(encoded(DELAYED, folder / "r.flac").read_bytes())
    at = content.index(b"fLaC") + 8 + 13  # RFC 9639, section 8.2: 36 bits of total samples
    total = round(16_000 * seconds)
    content[at] = (content[at] & 0xF0) | (total >> 32)
    content[at + 1 : at + 5] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(content)


def test_a_recording_of_more_than_a_day_is_refused_before_it_costs(
    function: ModuleType, tmp_path: Path
) -> None:
    content = flac_of(30 * 3600, tmp_path)
    answer = function.handler({"audio": base64.b64encode(content).decode()}, None)
    assert answer["statusCode"] == 422
    assert "30 hours long, and at most 24 are transcribed" in answer["body"]["error"]


@pytest.mark.parametrize("ending", [".wav", ".mp3", ".m4a", ".flac"])
def test_a_whole_recording_does_not_break_off(
    function: ModuleType, tmp_path: Path, ending: str
) -> None:
    content = encoded(DELAYED, tmp_path / f"r{ending}").read_bytes()
    heard = function.model().transcribe(io.BytesIO(content))
    assert not heard.is_broken_off


def test_a_recording_that_breaks_off_is_said_to(function: ModuleType, tmp_path: Path) -> None:
    heard = function.model().transcribe(io.BytesIO(flac_of(20, tmp_path)))
    assert (heard.text, heard.is_broken_off) == (SAID[DELAYED], True)
    whole = bytearray(encoded(DELAYED, tmp_path / "r.wav", times=2).read_bytes())
    half = whole[: len(whole) // 2]
    assert function.model().transcribe(io.BytesIO(half)).is_broken_off
    for unknown in (0, 0x7FFFF024, 0x80000024, 0xFFFFFFFF):  # as recorders write to a pipe
        half[4:8] = unknown.to_bytes(4, "little")
        assert not function.model().transcribe(io.BytesIO(half)).is_broken_off


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
