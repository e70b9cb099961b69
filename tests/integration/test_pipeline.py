"""Whole runs: a file, a real database, a Lambda over real HTTP that fails as it is told."""

from __future__ import annotations

import asyncio
import csv
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from tests.scripted_lambda import (
    Response,
    ScriptedLambda,
    aws_error,
    function_error,
    scored,
)
from worker import bootstrap, chunk
from worker.errors import SourceBusy
from worker.operate.worker import Worker, pull_work
from worker.pipeline.circuit import Circuit
from worker.pipeline.cycle import cycle
from worker.pipeline.run import Run
from worker.pipeline.work import Work
from worker.ports import Silent
from worker.records import Lane
from worker.scoring.target import lambda_target
from worker.settings import Settings
from worker.sources.files.reader import FileOptions
from worker.sources.files.source import FileSource
from worker.sources.rows.layout import Layout
from worker.states import RunReport
from worker.store import reading
from worker.store.ledger.runs import PostgresLedger

T = TypeVar("T")


class Bench:
    """One source over one file, run as `once` runs it."""

    def __init__(self, engine: Engine, server: ScriptedLambda, folder: Path) -> None:
        self.engine = engine
        self.server = server
        self.file = folder / "records.csv"
        self.options: dict[str, Any] = {"circuit_window": 0.2, "chunk_texts": 10}
        self.parts: dict[str, Any] = {}
        """Of the worker, in place of the usual ones."""
        self.reading = FileOptions()

    def write(self, *texts: str) -> None:
        with open(self.file, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "text"), *enumerate(texts, 1)])

    def run(self, *, stop_after_s: float | None = None) -> RunReport:
        def on_start(run: Run) -> None:
            if stop_after_s is not None:
                asyncio.get_running_loop().call_later(stop_after_s, run.stop)

        async def once(worker: Worker, work: Work) -> RunReport:
            return await cycle(
                worker.parts, worker.ledger, work, observer=Silent(), on_start=on_start
            )

        return asyncio.run(self.work(once))

    async def work(self, scene: Callable[[Worker, Work], Awaitable[T]]) -> T:
        settings = Settings(
            aws_endpoint_url_lambda=self.server.url, aws_region="local", **self.options
        )
        target = lambda_target(settings)
        async with bootstrap.open_worker(settings, self.engine, target, **self.parts) as worker:
            work = pull_work(worker, settings, "records", "file", self.source(), "once")
            return await scene(worker, work)

    def source(self) -> FileSource:
        return FileSource("records", [str(self.file)], Layout(), options=self.reading)

    def rows(self, sql: str) -> list[Any]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(sql))]

    def labels(self) -> dict[str, Any]:
        sql = "SELECT external_id, label, provisional FROM analytics.current_sentiment"
        return {key: (label, provisional) for key, label, provisional in self.rows(sql)}

    def release_leases(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text("UPDATE sentiment.chunk SET visible_at = now()"))

    def scorers(self) -> Counter[str]:
        return Counter(dict(self.rows(
            "SELECT scorer || CASE WHEN provisional THEN ' provisional' ELSE '' END, count(*)"
            " FROM analytics.current_sentiment WHERE label IS NOT NULL GROUP BY 1"
        )))  # fmt: skip


@pytest.fixture
def bench(engine: Engine, scripted_lambda: ScriptedLambda, tmp_path: Path) -> Bench:
    return Bench(engine, scripted_lambda, tmp_path)


def many(count: int) -> list[str]:
    return [f"{('good', 'bad', 'plain')[n % 3]} text number {n}" for n in range(count)]


def test_every_record_gets_one_score_by_the_model_and_a_second_run_sends_nothing(
    bench: Bench,
) -> None:
    bench.write(*many(95), "")
    report = bench.run()
    assert (report.state, report.exit_code) == ("done", 0)
    assert (report.counters.new, report.counters.scored, report.counters.skipped) == (96, 95, 1)
    assert bench.labels()["1"] == ("positive", False)
    assert bench.labels()["2"] == ("negative", False)
    sent = len(bench.server.requests)
    assert sent == report.counters.invocations == 10
    assert bench.run().counters.read == 0
    assert len(bench.server.requests) == sent


def test_an_edited_and_a_new_record_are_all_that_is_sent_again(bench: Bench) -> None:
    bench.write("good one", "bad one", "plain")
    bench.run()
    bench.server.requests.clear()
    bench.write("good one", "good now", "plain", "new bad one")
    report = bench.run()
    assert (report.counters.changed, report.counters.new, report.counters.unchanged) == (1, 1, 2)
    assert sorted(bench.server.texts_sent()) == ["good now", "new bad one"]
    assert bench.labels()["2"] == ("positive", False)


def test_identical_texts_are_sent_once(bench: Bench) -> None:
    bench.write(*["good"] * 30, *["bad"] * 30)
    report = bench.run()
    assert report.counters.scored == 60
    assert sorted(bench.server.texts_sent()) == ["bad", "good"]


@pytest.mark.parametrize(
    "fault",
    [
        aws_error(500, "ServiceException"),
        aws_error(429, "TooManyRequestsException"),
        aws_error(502, "ENINotReadyException"),
        aws_error(599, "SomethingNewException"),
        function_error(),
        Response(drop=True),
        Response(b"<html>", headers={"X-Amzn-Trace": "x"}),
        Response(b'{"results": [', cut=True),
    ],
    ids=["500", "429", "eni", "unknown", "function", "drop", "html", "cut"],
)
def test_a_passing_fault_costs_a_retry_and_nothing_else(bench: Bench, fault: Response) -> None:
    bench.server.script = lambda request, n: fault if n % 4 == 0 else scored(request)
    bench.write(*many(60))
    report = bench.run()
    assert report.state == "done"
    assert bench.scorers() == {"lambda": 60}
    assert len(bench.server.requests) == report.counters.invocations, "one attempt, one request"


def test_a_lambda_that_is_away_leaves_provisional_scores_that_the_next_run_replaces(
    bench: Bench,
) -> None:
    bench.server.script = lambda request, n: aws_error(500, "ServiceException")
    bench.write("I love this", "this is terrible", "Das ist schlecht", *many(40))
    report = bench.run()
    assert (report.state, report.exit_code) == ("degraded", 6)
    assert report.pending == 43
    assert bench.labels()["1"] == ("positive", True)
    assert bench.labels()["2"] == ("negative", True)
    assert bench.labels()["3"] == (None, None), "TextBlob cannot say, and does not pretend"
    reasons = bench.rows("SELECT DISTINCT fallback_reason FROM analytics.current_sentiment"
                         " WHERE provisional")  # fmt: skip
    assert reasons == [("ServiceException",)]
    ((provisional,),) = bench.rows(
        "SELECT count(*) FROM analytics.current_sentiment WHERE provisional"
    )
    (status,) = reading.status(bench.engine)
    assert (status["pending"], status["provisional"]) == (43, provisional)
    bench.server.script = lambda request, n: scored(request)
    again = bench.run()
    assert (again.state, again.counters.read, again.counters.scored) == ("done", 0, 43)
    assert bench.scorers() == {"lambda": 43}


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "ResourceNotFoundException", "LAMBDA_FUNCTION_NAME"),
        (403, "AccessDeniedException", "lambda:InvokeFunction"),
    ],
)
def test_a_broken_configuration_is_loud_at_once(
    bench: Bench, status: int, code: str, said: str
) -> None:
    bench.server.script = lambda request, n: aws_error(status, code)
    bench.write(*many(200))
    report = bench.run()
    assert report.exit_code == 2
    assert said in str(report.error)
    assert len(bench.server.requests) <= 3, "the circuit opened before the rest was sent"
    assert report.counters.new == 200, "records and cursor are safe"


def test_defer_leaves_records_pending_without_a_score(bench: Bench) -> None:
    bench.options["fallback_policy"] = "defer"
    bench.server.script = lambda request, n: aws_error(403, "AccessDeniedException")
    bench.write("good", "bad")
    report = bench.run()
    assert report.pending == 2
    assert bench.scorers() == {}


@pytest.mark.parametrize("poisoned", [1, 3])
def test_a_poisoned_text_harms_only_itself(bench: Bench, poisoned: int) -> None:
    def script(request: dict[str, Any], n: int) -> Response:
        bad = any("POISON" in text for text in request["texts"])
        return function_error() if bad else scored(request)

    texts = many(100)
    for n in range(poisoned):
        texts[n * 33] = f"a terrible POISON {n}"
    bench.options["chunk_texts"] = 100
    bench.server.script = script
    bench.write(*texts)
    report = bench.run()
    assert (report.state, report.exit_code) == ("quarantined", 5)
    assert bench.scorers() == {"lambda": 100 - poisoned, "textblob provisional": poisoned}
    assert report.counters.dead == poisoned
    reasons = bench.rows("SELECT DISTINCT stage, reason FROM sentiment.quarantine")
    assert reasons == [("score", "function_ValueError")]
    assert len(bench.server.requests) <= {1: 20, 3: 45}[poisoned]


@pytest.mark.parametrize(
    "fault",
    [function_error(), aws_error(413, "RequestEntityTooLargeException")],
    ids=["function", "413"],
)
def test_a_function_that_fails_for_everybody_condemns_nobody(bench: Bench, fault: Response) -> None:
    bench.server.script = lambda request, n: fault
    bench.write(*many(9))
    report = bench.run()
    assert (report.state, report.counters.dead) == ("degraded", 0)
    bench.server.script = lambda request, n: scored(request)
    assert bench.run().state == "done"
    assert bench.scorers() == {"lambda": 9}


def test_throttles_without_end_are_an_outage_and_the_run_ends(bench: Bench) -> None:
    bench.parts = {"circuit": Circuit(window_s=0.2, throttled_s=2.0)}
    bench.server.script = lambda request, n: aws_error(429, "TooManyRequestsException")
    bench.write("I love this")
    report = bench.run()
    assert (report.state, report.exit_code) == ("degraded", 6)
    assert bench.scorers() == {"textblob provisional": 1}
    assert len(bench.server.requests) < 30


def test_an_error_in_ingest_ends_the_run_while_chunks_are_in_hand(bench: Bench) -> None:
    bench.reading = FileOptions(page_rows=100)
    calls = []

    def planner(items: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("planned to fail")
        return chunk.plan(items, max_items=10, max_bytes=100_000)

    bench.parts = {"planner": planner}
    bench.write(*many(1000))
    with _slow(bench.server, 0.02), pytest.raises(RuntimeError, match="planned"):
        bench.run()
    bench.parts = {}
    bench.release_leases()
    assert bench.run().state == "done"
    assert bench.scorers() == {"lambda": 1000}


def test_a_stop_waits_for_calls_under_way_only_as_long_as_the_grace_time(bench: Bench) -> None:
    bench.options["grace"] = 0.5
    bench.write(*many(4000))
    before, answering = bench.server.script, threading.Event()
    answered = []

    def script(request: dict[str, Any], n: int) -> Response:
        answering.wait(30)
        answered.append(n)
        return before(request, n)

    bench.server.script = script
    try:
        assert bench.run(stop_after_s=1.0).state == "stopped"
        assert not answered, "it waited for calls longer than the grace time"
    finally:
        answering.set()


def test_too_large_is_split_at_once(bench: Bench) -> None:
    def script(request: dict[str, Any], n: int) -> Response:
        too_large = len(request["texts"]) > 4
        return aws_error(413, "RequestEntityTooLargeException") if too_large else scored(request)

    bench.server.script = script
    bench.write(*many(30))
    assert bench.run().state == "done"
    assert bench.scorers() == {"lambda": 30}


def test_textblob_by_choice_is_not_provisional(bench: Bench) -> None:
    async def scene() -> RunReport:
        settings = Settings(use_lambda_sentiment=False)
        async with bootstrap.open_worker(settings, bench.engine, None) as worker:
            work = pull_work(worker, settings, "records", "file", bench.source(), "once")
            return await cycle(worker.parts, worker.ledger, work, observer=Silent())

    bench.write("I love this", "Das ist schlecht")
    report = asyncio.run(scene())
    assert (report.state, report.counters.scored, report.counters.undecided) == ("done", 1, 1)
    assert bench.scorers() == {"textblob": 1}
    assert bench.server.requests == []


def test_two_runs_of_one_source_exclude_each_other(bench: Bench) -> None:
    ledger = PostgresLedger(bench.engine, worker="other", patience_s=1)
    bench.write("good")
    held = ledger.exclusive(Lane(ledger.source_id("records", "file")), "records")
    with held, pytest.raises(SourceBusy):
        bench.run()
    assert bench.run().state == "done"


def test_a_stopped_run_gives_its_leases_back_and_the_next_finishes(bench: Bench) -> None:
    with _slow(bench.server, 0.3):
        bench.write(*many(1000))
        report = bench.run(stop_after_s=0.8)
    assert report.state == "stopped"
    held = bench.rows("SELECT count(*) FROM sentiment.chunk WHERE leased_by IS NOT NULL")
    assert held == [(0,)]
    assert bench.run().state == "done"
    assert bench.scorers() == {"lambda": 1000}


def test_counters_add_up_and_the_ledger_says_the_same(bench: Bench) -> None:
    bench.file.write_text('id,text\n1,good\n1,good\n2,bad\n3\n4,""\n', encoding="utf-8")
    c = bench.run().counters
    assert c.read == c.new + c.changed + c.unchanged + c.duplicate + c.quarantined == 5
    assert c.new == c.scored + c.skipped
    assert bench.rows("SELECT read, state FROM analytics.run_history") == [(5, "quarantined")]


def test_a_run_that_died_is_called_lost(bench: Bench) -> None:
    ledger = PostgresLedger(bench.engine, worker="dead", patience_s=1)
    ledger.start(Lane(ledger.source_id("records", "file")), "once")
    bench.write("good")
    bench.run()
    states = bench.rows("SELECT state FROM sentiment.run ORDER BY id")
    assert states == [("lost",), ("done",)]


@contextmanager
def _slow(server: ScriptedLambda, seconds: float) -> Iterator[None]:
    pause = threading.Event()
    before = server.script

    def script(request: dict[str, Any], n: int) -> Response:
        pause.wait(seconds)
        return before(request, n)

    server.script = script
    yield
    server.script = before


class _Oversleeping(Run):
    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds + 0.01)


@pytest.mark.timeout(20)
def test_a_run_ends_though_it_sleeps_through_what_changed_last(bench: Bench) -> None:
    """The last chunk may be settled in the very moment in which the run wakes up to look."""
    bench.write(*many(30))

    async def scene(worker: Worker, work: Work) -> int:
        run = _Oversleeping(worker.parts, work, worker.ledger.start(work.lane, "once"), Silent())
        await run.execute()
        return run.counters.scored

    assert asyncio.run(bench.work(scene)) == 30
