"""Recordings as records, with a function that answers as it is told and transcripts that are kept
in a real database."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from tests.cloud import Cloud
from tests.scripted_lambda import Response, ScriptedLambda, aws_error, billed, function_error
from worker.aws import Access
from worker.cost import Prices
from worker.errors import ConfigurationError, SourceUnavailable
from worker.records import Bill, Page, Position
from worker.scoring.target import LambdaTarget
from worker.sources import kinds
from worker.sources.audio import AudioSourceConfig
from worker.sources.files.audio import REST_S, AudioSource
from worker.sources.kinds import Opening
from worker.sources.queue.source import SqsSource
from worker.sources.sqs import SqsSourceConfig
from worker.speech import Recording, Transcriber, TranscriptionOptions
from worker.store import database
from worker.store.analytics import scorers
from worker.store.ledger import removal, spending
from worker.store.ledger.transcripts import Transcripts
from worker.transcription import wire
from worker.transcription.function import FunctionTranscriber
from worker.transcription.kept import KeptTranscriber, UnderWay


def answered(*segments: tuple[float, float, str, float], **more: Any) -> Response:
    names = ("start", "end", "text", "confidence")
    body = {
        "segments": [dict(zip(names, segment, strict=True)) for segment in segments],
        "until": segments[-1][1] if segments else 0.0,
        "done": True,
        "language": "en" if segments else None,
        "model": "whisper",
        "model_version": "1",
    }
    return billed(Response(json.dumps({"statusCode": 200, "body": body | more}).encode()), 900, 512)


LOCAL = Access("local")


class Studio:
    """A folder of recordings, a function that hears them, and a source over both."""

    def __init__(self, folder: Path, engine: Engine, function: ScriptedLambda) -> None:
        self.folder = folder
        self.function = function
        self.positions: dict[str, Position] = {}
        self._under_way = UnderWay()
        self._engine = engine
        self.function.script = lambda request, n: answered((0.0, 1.5, "A good day.", 0.9))
        with database.transaction(engine) as connection:
            connection.execute(
                text("INSERT INTO sentiment.source (name, kind) VALUES ('calls', 'audio')")
            )

    def record(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000 + len(content)))  # it rests
        return path

    def read(self, access: Access = LOCAL, **said: Any) -> list[Page]:
        said = {"path": str(self.folder), "function": "transcription"} | said
        config = AudioSourceConfig(name="calls", **said)
        opening = Opening(access, open_transcriber=self._open)
        pages = []
        for page in kinds.open_source(config, opening).pages(self.positions):
            pages.append(page)
            self.positions[page.partition] = page.position
        return pages

    def again(self) -> None:
        """From the beginning."""
        self.positions = {}

    @contextmanager
    def _open(self, source: str, options: TranscriptionOptions) -> Iterator[Transcriber]:
        target = LambdaTarget(
            "transcription", Access("local"), endpoint_url=self.function.url, timeout_s=5
        )
        kept = Transcripts(self._engine, source, options.language)
        told = kept.unusable_call
        function = FunctionTranscriber(target, options.language, told, pause_s=0.01)
        yield KeptTranscriber(function, kept, self._under_way)
        function.close()


@pytest.fixture
def studio(tmp_path: Path, engine: Engine, scripted_lambda: ScriptedLambda) -> Studio:
    folder = tmp_path / "calls"
    folder.mkdir()
    return Studio(folder, engine, scripted_lambda)


def test_a_recording_is_a_record(studio: Studio) -> None:
    path = studio.record("a.wav", b"sound")
    (page,) = studio.read()
    (record,) = page.records
    assert (record.external_id, record.text, record.language) == (str(path), "A good day.", "en")
    assert record.tags == {"duration": "1.5", "confidence": "0.90", "language": "en"}
    assert record.published_at
    assert (page.complete, page.bytes_read) == (True, 5)
    assert studio.read() == []
    assert len(studio.function.requests) == 1


def test_a_transcript_is_never_paid_for_twice(studio: Studio, engine: Engine) -> None:
    studio.record("a.wav", b"sound")
    studio.record("the same under another name.wav", b"sound")
    studio.record("b.wav", b"another sound")
    first = studio.read()
    studio.again()
    assert [page.records for page in studio.read()] == [page.records for page in first]
    assert len(studio.function.requests) == 2
    (row,) = spending.by(engine, ("model",), source="calls")
    assert (row["model"], row["invocations"], row["billed_ms"]) == ("whisper", 2, 1_800)
    assert spending.spent(engine, Prices())[0] > 0
    assert scorers.listed(engine) == []  # it scores nothing


def test_another_language_is_transcribed_anew(studio: Studio) -> None:
    studio.record("a.wav", b"sound")
    studio.read()
    studio.read(spoken_language="de")
    assert [request.get("language") for request in studio.function.requests] == [None, "de"]


def test_segments_that_are_no_more_are_gone(studio: Studio) -> None:
    path = studio.record("a.wav", b"sound")
    studio.function.script = lambda request, n: answered(
        (0.0, 1.0, "One.", 0.9), (1.0, 2.5, "Two.", 0.9), (2.5, 3.0, "Three.", 0.9)
    )
    (page,) = studio.read(split="segment")
    assert [record.external_id for record in page.records] == [f"{path}#{n}" for n in (1, 2, 3)]
    assert (page.records[1].tags or {})["start"] == "1.00"
    studio.record("a.wav", b"shorter sound")
    studio.function.script = lambda request, n: answered((0.0, 1.0, "One.", 0.9))
    (page,) = studio.read(split="segment")
    assert sorted(page.gone) == [f"{path}#2", f"{path}#3"]
    (page,) = studio.read(split="file")  # of which nothing is paid for again
    assert sorted(page.gone) == [f"{path}#1"]
    assert len(studio.function.requests) == 2


def test_windows_are_asked_for_one_after_another(studio: Studio) -> None:
    studio.record("a.wav", b"sound")

    def in_two(request: dict[str, Any], n: int) -> Response:
        if request["from"] == 0:
            return answered((0.0, 500.0, "First.", 0.9), until=600.0, done=False)
        return answered((620.0, 700.0, "Second.", 0.9), until=705.0)

    studio.function.script = in_two
    (page,) = studio.read()
    assert page.records[0].text == "First. Second."
    assert (page.records[0].tags or {})["duration"] == "705.0"
    assert [request["from"] for request in studio.function.requests] == [0, 600]


def test_a_run_that_has_ended_asks_for_no_more_windows(studio: Studio) -> None:
    studio.record("a.wav", b"endless")
    config = AudioSourceConfig(name="calls", path=str(studio.folder), function="transcription")
    source = kinds.open_source(config, Opening(LOCAL, open_transcriber=studio._open))

    assert isinstance(source, AudioSource)
    stop = source.stop

    def ends_the_run(request: dict[str, Any], n: int) -> Response:
        stop()
        return answered((0.0, 5.0, "More.", 0.9), until=request["from"] + 600.0, done=False)

    studio.function.script = ends_the_run
    with pytest.raises(SourceUnavailable, match="not transcribed to its end"):
        list(source.pages({}))
    assert len(studio.function.requests) == 1


def test_an_empty_recording_is_refused_without_a_call(studio: Studio) -> None:
    studio.record("a.wav", b"")
    studio.record("b.wav", b"sound")
    pages = studio.read()
    assert [len(page.records) for page in pages] == [0, 1]
    assert pages[0].refusals[0].reason == "it is empty"


def test_silence_has_no_text_to_score(studio: Studio) -> None:
    studio.record("a.wav", b"silence")
    studio.function.script = lambda request, n: answered(until=3.0)
    (page,) = studio.read()
    assert (page.records[0].skip_reason, page.records[0].tags) == ("empty", {"duration": "3.0"})


def test_an_uncertain_transcript_is_refused_with_the_reason(studio: Studio) -> None:
    studio.record("a.wav", b"foreign")
    studio.function.script = lambda request, n: answered(
        (0.0, 2.0, "Thank you for watching.", 0.31)
    )
    (page,) = studio.read()
    assert not page.records
    assert "confidence 0.31" in page.refusals[0].reason
    assert "watching" not in page.refusals[0].reason
    (page,) = studio.read(min_confidence=0.3)
    assert len(page.records) == 1
    assert len(studio.function.requests) == 1


def refusing(request: dict[str, Any], n: int) -> Response:
    body = {"statusCode": 422, "body": {"error": "the file is not readable audio"}}
    return Response(json.dumps(body).encode())


def test_a_recording_that_is_none_goes_to_quarantine_and_holds_up_nobody(studio: Studio) -> None:
    studio.record("a.wav", b"junk")
    studio.record("b.wav", b"sound")
    plain = studio.function.script
    studio.function.script = lambda request, n: (
        refusing(request, n) if request["audio"] == "anVuaw==" else plain(request, n)
    )
    pages = studio.read()
    assert [len(page.refusals) for page in pages] == [1, 0]
    assert "not readable audio" in pages[0].refusals[0].reason
    assert studio.read() == []  # it is not tried again while it is the same


def test_a_function_that_fails_over_one_recording_is_asked_twice(
    studio: Studio, engine: Engine
) -> None:
    studio.record("a.wav", b"sound")
    studio.read()
    studio.function.requests.clear()
    studio.record("b.wav", b"deadly")
    timed_out = billed(function_error("Sandbox.Timedout"), 5000, 512)
    warm = Response(b'{"statusCode": 200, "body": {"warm": true}}')
    studio.function.script = lambda request, n: warm if "warmup" in request else timed_out
    (page,) = studio.read()
    assert "failed twice" in page.refusals[0].reason
    assert len(studio.function.requests) == 3
    rows = spending.by(engine, ("model",), source="calls")
    assert {row["model"]: row["billed_ms"] for row in rows} == {
        "whisper": 900,
        "(no answer)": 10_000,
    }


def test_a_function_that_fails_over_every_recording_refuses_none(studio: Studio) -> None:
    """A bad deployment, also one of a function that has worked."""
    studio.record("first.wav", b"the first sound")
    studio.read()
    studio.positions.clear()
    studio.record("a.wav", b"sound")
    studio.record("b.wav", b"another sound")
    failing = function_error("Runtime.ImportModuleError")
    studio.function.script = lambda request, n: failing
    with pytest.raises(SourceUnavailable, match=r"Runtime\.ImportModuleError"):
        studio.read()
    assert [name[-9:] for name in studio.positions] == ["first.wav"]


def test_throttling_uses_no_attempt(studio: Studio) -> None:
    studio.record("a.wav", b"sound")
    plain = studio.function.script
    throttled = aws_error(429, "TooManyRequestsException")
    studio.function.script = lambda request, n: throttled if n < 9 else plain(request, n)
    (page,) = studio.read()
    assert len(page.records) == 1


@pytest.mark.parametrize(
    ("status", "raised", "told"),
    [
        (400, ConfigurationError, "refuses the request"),
        (403, ConfigurationError, "may not read the recording"),
        (404, SourceUnavailable, "not there any more"),
        (409, SourceUnavailable, "not there any more"),
        (503, SourceUnavailable, "no answer in 4 attempts"),
    ],
)
def test_what_the_function_says_is_told(
    studio: Studio, status: int, raised: type[Exception], told: str
) -> None:
    studio.record("a.wav", b"sound")
    body = {"statusCode": status, "body": {"error": "scripted"}}
    said = Response(json.dumps(body).encode())
    studio.function.script = lambda request, n: said
    with pytest.raises(raised, match=told):
        studio.read()
    assert studio.positions == {}


@pytest.mark.parametrize(
    "trouble",
    [
        aws_error(429, "TooManyRequestsException"),
        aws_error(500, "ServiceException"),
        Response(b"<html>"),
        Response(drop=True),
    ],
)
def test_trouble_on_the_way_passes(studio: Studio, trouble: Response) -> None:
    studio.record("a.wav", b"sound")
    plain = studio.function.script
    studio.function.script = lambda request, n: trouble if n < 3 else plain(request, n)
    (page,) = studio.read()
    assert len(page.records) == 1


def test_trouble_that_stays_leaves_the_recording_for_the_next_run(studio: Studio) -> None:
    studio.record("a.wav", b"sound")
    plain = studio.function.script
    studio.function.script = lambda request, n: aws_error(500, "ServiceException")
    with pytest.raises(SourceUnavailable, match="no answer in 4 attempts"):
        studio.read()
    assert studio.positions == {}
    studio.function.script = plain
    assert len(studio.read()) == 1


def test_a_misspelt_function_is_said_at_once(studio: Studio) -> None:
    studio.record("a.wav", b"sound")
    studio.function.script = lambda request, n: aws_error(404, "ResourceNotFoundException")
    with pytest.raises(ConfigurationError, match="check `function` of the source"):
        studio.read()
    assert len(studio.function.requests) == 1


def test_a_recording_too_large_for_a_call(studio: Studio) -> None:
    path = studio.folder / "large.wav"
    with path.open("wb") as file:
        file.truncate((4 << 20) + 1)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    (page,) = studio.read()
    assert "put it in S3" in page.refusals[0].reason
    assert studio.function.requests == []


def test_a_recording_that_is_being_written_waits(studio: Studio) -> None:
    path = studio.folder / "a.wav"
    path.write_bytes(b"half")
    lately = time.time() - REST_S + 1.0
    os.utime(path, (lately, lately))

    def grows(*_: Any) -> Response:
        path.write_bytes(b"half and half")
        return answered((0.0, 1.0, "Half.", 0.9))

    studio.function.script = grows
    assert studio.read() == []
    os.utime(path, (1_700_000_000, 1_700_000_000))
    studio.function.script = lambda request, n: answered((0.0, 2.0, "The whole of it.", 0.9))
    (page,) = studio.read()
    assert page.records[0].text == "The whole of it."


def test_objects_of_s3_are_read_by_the_function(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cloud() as cloud:
        for name, value in cloud.variables.items():
            monkeypatch.setenv(name, value)
        cloud.s3.put_object(Bucket="drop", Key="calls/a.mp3", Body=b"sound")
        cloud.s3.put_object(Bucket="drop", Key="calls/rows.csv", Body=b"id,text\n")
        etag = cloud.s3.head_object(Bucket="drop", Key="calls/a.mp3")["ETag"]
        (page,) = studio.read(Access("eu-central-1"), path="s3://drop/calls/")
    assert page.records[0].external_id == "s3://drop/calls/a.mp3"
    assert studio.function.requests == [{"from": 0.0, "s3": "s3://drop/calls/a.mp3", "etag": etag}]


def test_several_are_transcribed_together_in_their_order(studio: Studio) -> None:
    for n in range(10):
        studio.record(f"{n:02}.wav", b"sound %d" % n)
    together = Barrier(5, timeout=20)

    def wait_for_the_others(request: dict[str, Any], n: int) -> Response:
        together.wait()
        return answered((0.0, 1.5, "A good day.", 0.9))

    studio.function.script = wait_for_the_others
    pages = studio.read(concurrency=5)
    assert [page.partition[-6:] for page in pages] == [f"{n:02}.wav" for n in range(10)]


def test_removing_a_source_removes_what_was_answered(studio: Studio, engine: Engine) -> None:
    studio.record("a.wav", b"sound")
    studio.read()
    assert removal.held(engine, 1)["transcripts"] == 1
    removal.remove(engine, 1, lambda _: None)
    assert removal.held(engine, 1)["transcripts"] == 0


def test_a_lost_commit_counts_a_call_once(studio: Studio, engine: Engine) -> None:
    kept = Transcripts(engine, "calls", None)
    found = answered((0.0, 1.0, "Once.", 0.9), broken_off=True)
    said = replace(wire.decode(found.body, 0.0), bill=Bill(700, 512))
    call, another = uuid4(), uuid4()
    for _ in range(2):
        kept.keep(Recording("r", bytes(16)), 0.0, said, call)
    (row,) = spending.by(engine, ("model",), source="calls")
    assert (row["invocations"], row["billed_ms"]) == (1, 700)
    assert kept.find(bytes(16), 0.0) == said
    # Another worker that asked for the same window was billed, too; its transcript is not kept.
    kept.keep(Recording("r", bytes(16)), 0.0, replace(said, language="de"), another)
    (row,) = spending.by(engine, ("model",), source="calls")
    assert (row["invocations"], row["billed_ms"]) == (2, 1_400)
    assert kept.find(bytes(16), 0.0) == said


def test_the_next_run_waits_for_what_the_last_one_asked_for(studio: Studio, engine: Engine) -> None:
    """The last one ended while the function was at work."""
    studio.record("a.wav", b"sound")
    asked = threading.Event()

    def slow(request: dict[str, Any], n: int) -> Response:
        asked.set()
        time.sleep(1.0)
        return answered((0.0, 1.5, "A good day.", 0.9))

    studio.function.script = slow
    left_behind = threading.Thread(target=studio.read)
    left_behind.start()
    assert asked.wait(10)
    (page,) = studio.read()
    left_behind.join(10)
    assert page.records[0].text == "A good day."
    assert len(studio.function.requests) == 1


def test_no_recording_is_longer_than_a_day(studio: Studio) -> None:
    studio.record("a.wav", b"endless")
    studio.function.script = lambda request, n: answered(
        until=request["from"] + 6 * 3600.0, done=False
    )
    (page,) = studio.read()
    assert "longer than 24 hours" in page.refusals[0].reason
    assert [request["from"] / 3600 for request in studio.function.requests] == [0, 6, 12, 18]


def test_what_its_score_is_of_stands_in_a_recordings_tags(studio: Studio) -> None:
    studio.record("a.wav", b"sound")
    studio.function.script = lambda request, n: answered(
        (0.0, 5.0, "word " * 5_000, 0.9), broken_off=True
    )
    (page,) = studio.read()
    tags = page.records[0].tags or {}
    assert (tags["broken_off"], tags["partly_read"]) == ("yes", "yes")


def test_names_that_are_one_in_the_database_are_said(studio: Studio) -> None:
    for ending in (b"\xff", b"\xfe"):
        name = os.fsdecode(b"call" + ending + b".wav")
        studio.record(name, b"sound")
    with pytest.raises(SourceUnavailable, match="Two files would be one"):
        studio.read()
    assert len(studio.positions) == 1


@contextmanager
def dropped(studio: Studio, *keys: str) -> Iterator[tuple[Cloud, SqsSource]]:
    """Recordings in a bucket, and a source of the queue that tells of them."""
    with Cloud() as cloud, pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.variables.items():
            environment.setenv(name, value)
        for key in keys:
            cloud.s3.put_object(Bucket="drop", Key=key, Body=key.encode())
        config = SqsSourceConfig(name="calls", queue=cloud.queue, function="transcription")
        opening = Opening(Access("eu-central-1"), open_transcriber=studio._open)
        source = kinds.open_source(config, opening)
        assert isinstance(source, SqsSource)
        yield cloud, source


def test_a_misspelt_function_takes_no_message(studio: Studio) -> None:
    studio.function.script = lambda request, n: aws_error(404, "ResourceNotFoundException")
    with dropped(studio, "a.wav", "b.wav") as (cloud, source):
        there = cloud.visible()
        for _ in range(5):  # more than the queue allows
            with pytest.raises(ConfigurationError, match="check `function` of the source"):
                source.wait(1)
            with pytest.raises(ConfigurationError, match="check `function` of the source"):
                list(source.pages({}))
        assert (cloud.visible(), cloud.left(cloud.dead)) == (there, 0)
        studio.function.script = lambda request, n: answered((0.0, 1.5, "A good day.", 0.9))
        assert source.wait(1)
        pages = list(source.pages({}))
        source.acknowledge(pages)
        assert (len(pages), cloud.left()) == (2, 0)


def test_a_function_that_is_no_more_ends_the_run_and_is_asked_for_before_the_next(
    studio: Studio,
) -> None:
    with dropped(studio, "a.wav", "b.wav") as (cloud, source):
        cloud.put("rows.csv", ("1", "Great"))
        assert source.wait(1)
        plain = studio.function.script
        studio.function.script = lambda request, n: aws_error(404, "ResourceNotFoundException")
        with pytest.raises(SourceUnavailable, match="1 message stayed in the queue"):
            list(source.pages({}))
        assert cloud.visible() >= 2  # at once; the first comes again later
        for _ in range(3):
            with pytest.raises(ConfigurationError):
                source.wait(1)
        studio.function.script = plain
        cloud.wake()
        pages = list(source.pages({}))
        source.acknowledge(pages)
        assert (len(pages), cloud.left(), cloud.left(cloud.dead)) == (3, 0, 0)


def test_a_run_that_has_ended_pays_for_no_more_windows_of_a_queue(studio: Studio) -> None:
    keys = [f"{n}.wav" for n in range(25)]
    with dropped(studio, *keys) as (cloud, source):
        assert source.wait(1)
        for _ in range(5):  # more than the queue allows
            studio.function.requests.clear()

            def ends_the_run(request: dict[str, Any], n: int) -> Response:
                source.stop()
                return answered((0.0, 5.0, "More.", 0.9), until=request["from"] + 9.0, done=False)

            studio.function.script = ends_the_run
            assert list(source.pages({})) == []
            assert len(studio.function.requests) == 1
        assert cloud.left(cloud.dead) <= 1  # none of those that were not even begun
        assert cloud.left() >= 24


def test_a_function_that_refuses_every_recording_ends_the_run_with_the_first(
    studio: Studio,
) -> None:
    """It can be called, so that nothing is known of it before."""
    with dropped(studio, *[f"{n}.wav" for n in range(25)]) as (cloud, source):
        body = {"statusCode": 403, "body": {"error": "AccessDenied"}}
        studio.function.script = lambda request, n: Response(json.dumps(body).encode())
        with pytest.raises(SourceUnavailable, match=r"1 message stayed.*may not read"):
            list(source.pages({}))
        assert sum("s3" in request for request in studio.function.requests) == 1
        assert cloud.visible() >= 24


def test_after_a_stop_no_call_begins(studio: Studio) -> None:
    """Neither another attempt, nor that of a run that waits for the same recording."""
    studio.record("a.wav", b"sound")
    config = AudioSourceConfig(name="calls", path=str(studio.folder), function="transcription")
    sources = []
    for _ in range(2):
        opened = kinds.open_source(config, Opening(LOCAL, open_transcriber=studio._open))
        assert isinstance(opened, AudioSource)
        sources.append(opened)
    asked, go_on = threading.Event(), threading.Event()

    def waits(request: dict[str, Any], n: int) -> Response:
        asked.set()
        go_on.wait(10)
        return aws_error(500, "ServiceException")

    studio.function.script = waits
    threads = [threading.Thread(target=_to_its_end, args=(each,)) for each in sources]
    threads[0].start()
    assert asked.wait(10)
    threads[1].start()
    time.sleep(0.3)
    for each in sources:
        each.stop()
    go_on.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(studio.function.requests) == 1


def _to_its_end(source: AudioSource) -> None:
    with suppress(SourceUnavailable):
        list(source.pages({}))


def test_the_bill_of_a_call_beside_what_an_older_worker_kept(
    studio: Studio, engine: Engine
) -> None:
    kept = Transcripts(engine, "calls", None)
    said = replace(wire.decode(answered((0.0, 1.0, "x", 0.9)).body, 0.0), bill=Bill(700, 512))
    kept.keep(Recording("r", bytes(16)), 0.0, replace(said, bill=None), uuid4())
    with database.transaction(engine) as connection:
        connection.execute(text("UPDATE sentiment.transcript SET call_id = NULL"))
    kept.keep(Recording("r", bytes(16)), 0.0, said, uuid4())
    (row,) = spending.by(engine, ("model",), source="calls")
    assert (row["invocations"], row["billed_ms"]) == (1, 700)


def test_a_reading_says_of_its_own_messages_what_stayed(studio: Studio) -> None:
    """And not of those of the run before, whose call has not ended."""
    with dropped(studio, "a.wav") as (cloud, source):
        assert source.wait(1)
        studio.function.script = lambda request, n: aws_error(500, "ServiceException")
        with pytest.raises(SourceUnavailable, match="1 message stayed"):
            list(source.pages({}))
        cloud.wake()
        studio.function.script = lambda request, n: answered((0.0, 1.5, "A good day.", 0.9))
        pages = source.pages({})
        source.acknowledge([next(pages)])
        assert list(pages) == []
