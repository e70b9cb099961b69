"""Backfills against a real database and a scripted Lambda: exact, stoppable, in their lane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from tests.make import record
from tests.scripted_lambda import Response, ScriptedLambda, billed, scored
from worker import bootstrap, cost
from worker.operate import backfilling
from worker.operate.worker import Worker, pull_work
from worker.pipeline.cycle import cycle
from worker.pipeline.run import Run
from worker.ports import Silent
from worker.records import Lane, Page, Remark
from worker.scoring.target import lambda_target
from worker.selection import ChunkSizes, Only, Plan, Selection
from worker.settings import Settings
from worker.states import RunReport, StopReason
from worker.store.ledger import backfills, plans

DAY = datetime(2026, 1, 1, tzinfo=UTC)


class Desk:
    """A source of 100 records, ten a day, scored once."""

    def __init__(self, engine: Engine, server: ScriptedLambda) -> None:
        self.engine = engine
        self.server = server
        self.settings = Settings(
            aws_endpoint_url_lambda=server.url, aws_region="local", chunk_texts=10,
            max_concurrency=4, circuit_window=timedelta(seconds=0.2),
        )  # fmt: skip
        self.source_id = 0

    def go(self, scene: Any) -> Any:
        async def whole() -> Any:
            target = lambda_target(self.settings)
            async with bootstrap.open_worker(self.settings, self.engine, target) as worker:
                return await scene(worker)

        return asyncio.run(whole())

    def store(self, count: int, *, start: int = 0, text: str = "good {}") -> None:
        records = [
            record(str(n), text.format(n))._replace(published_at=DAY + timedelta(days=n // 10))
            for n in range(start, start + count)
        ]

        async def scene(worker: Worker) -> RunReport:
            page = Page("p", {"at": start + count, "of": text}, records)
            work = pull_work(worker, self.settings, "s", "file", _Pages(page), "once")
            return await cycle(worker.parts, worker.ledger, work, observer=Silent())

        assert self.go(scene).state == "done"
        self.source_id = self.rows("SELECT id FROM sentiment.source")[0][0]

    def plan(self, selection: Selection | None = None, **more: Any) -> tuple[int, Plan]:
        chosen = selection or Selection("s", **more)
        prices, pace = cost.Prices(), cost.Pace(1000.0, 0.01, 500)
        backfill_id, plan = plans.plan(
            self.engine,
            chosen,
            partial(cost.estimate, pace=pace, prices=prices, concurrency=4),
            by="me",
            max_cost=None,
            store=True,
            sizes=ChunkSizes(10, 100_000),
            window_records=20,
        )
        assert backfill_id is not None
        return backfill_id, plan

    def plan_left(self, target_version: str) -> int:
        missing = Selection("s", only=Only.MISSING, target_version=target_version)
        with self.engine.connect() as connection:
            return len(connection.execute(plans.select(missing)).all())

    def start(self, backfill_id: int) -> None:
        assert backfills.transition(
            self.engine,
            backfill_id,
            "running",
            by="me",
            reason=None,
            from_states=("planned", "paused"),
        )

    def run(self, backfill_id: int, on_start: Any = lambda run: None) -> RunReport:
        async def scene(worker: Worker) -> RunReport:
            row = backfills.get(self.engine, backfill_id)
            work = backfilling.backfill_work(worker, self.settings, row)
            report = await cycle(
                worker.parts, worker.ledger, work, observer=Silent(), on_start=on_start
            )
            backfilling.close(worker, work.lane, report.stop_reason)
            return report

        found: RunReport = self.go(scene)
        return found

    def rows(self, sql: str) -> list[Any]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(sql))]

    def sent(self) -> list[str]:
        return [text for request in self.server.requests for text in request["texts"]]


class _Pages:
    name = "s"

    def __init__(self, page: Page) -> None:
        self._page = page

    remark: Remark | None = None

    def pages(self, positions: Any) -> Iterator[Page]:
        yield self._page

    def size(self) -> None:
        return None


@pytest.fixture
def desk(engine: Engine, scripted_lambda: ScriptedLambda) -> Desk:
    desk = Desk(engine, scripted_lambda)
    desk.store(100)
    scripted_lambda.requests.clear()
    return desk


def test_what_is_planned_is_what_is_done(desk: Desk) -> None:
    since, until = DAY + timedelta(days=2), DAY + timedelta(days=7)
    backfill_id, plan = desk.plan(since=since, until=until)
    assert (plan.records, plan.distinct_texts, plan.chunks, plan.windows) == (50, 50, 5, 3)
    assert plan.already_scored == 50
    assert desk.server.requests == [], "planning sends nothing"
    cursor = desk.rows("SELECT * FROM sentiment.cursor")
    desk.start(backfill_id)
    report = desk.run(backfill_id)
    assert report.state == "done"
    assert sorted(desk.sent()) == sorted(f"good {n}" for n in range(20, 70))
    assert len(desk.server.requests) == plan.estimate.invocations == plan.chunks
    assert desk.rows("SELECT * FROM sentiment.cursor") == cursor, "never moves the live cursor"
    row = backfills.get(desk.engine, backfill_id)
    assert (row["state"], row["finished"], row["scored"]) == ("done", 50, 50)
    assert report.counters.read == report.counters.unchanged == 50


def test_texts_that_come_again_are_counted_once(desk: Desk) -> None:
    desk.store(20, start=200, text="the same")
    _, plan = desk.plan(since=DAY + timedelta(days=20))
    assert (plan.records, plan.distinct_texts, plan.chunks) == (20, 1, 1)


def test_the_world_moves_between_plan_and_apply(desk: Desk) -> None:
    selection = Selection("s", until=DAY + timedelta(days=10))
    backfill_id, _ = desk.plan(selection)
    assert plans.drift(desk.engine, backfill_id, selection) == []
    desk.store(10, text="rewritten {}")
    assert plans.drift(desk.engine, backfill_id, selection) == ["10 of its records were rewritten"]
    with desk.engine.begin() as connection:
        connection.execute(sa.text(
            "UPDATE sentiment.record SET published_at = published_at + interval '1 year'"
            " WHERE external_id IN ('50', '51')"
        ))  # fmt: skip
    desk.store(3, start=500)  # published after the window
    assert plans.drift(desk.engine, backfill_id, selection) == [
        "10 of its records were rewritten",
        "2 of its records no longer belong to it",
    ]
    wider = replace(selection, until=None)
    assert "3 more records belong to it by now" in str(plans.drift(desk.engine, backfill_id, wider))


def test_only_what_failed_or_is_provisional_or_missing(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        connection.execute(sa.text(
            "UPDATE sentiment.score SET provisional = true, fallback_reason = 'down', scorer_id ="
            " (SELECT max(id) + 1 FROM sentiment.scorer) WHERE record_id IN"
            " (SELECT id FROM sentiment.record WHERE external_id IN ('1', '2', '3'))"
        ))  # fmt: skip
        connection.execute(sa.text(
            "INSERT INTO sentiment.scorer (provider, model, version) VALUES ('textblob', 't', '1')"
        ))  # fmt: skip
        connection.execute(sa.text(
            'INSERT INTO sentiment.quarantine (source_id, run_id, stage, partition, "offset",'
            " reason, raw, fingerprint, record_id) SELECT source_id, 1, 'score', '', 'x', 'y', '',"
            " 'f', id FROM sentiment.record WHERE external_id = '7'"
        ))  # fmt: skip
    assert desk.plan(only=Only.PROVISIONAL)[1].records == 3
    assert desk.plan(only=Only.FAILED)[1].records == 1
    assert desk.plan(only=Only.MISSING, target_version="1")[1].records == 3
    assert desk.plan(only=Only.MISSING, target_version="2")[1].records == 100
    assert desk.plan(contains="good 1", limit=5)[1].records == 5
    assert desk.plan(label="positive", scorer="lambda")[1].records == 97


def test_paused_and_resumed_and_killed_it_sends_nothing_twice(desk: Desk) -> None:
    backfill_id, _ = desk.plan()
    desk.start(backfill_id)
    assert not backfills.transition(
        desk.engine, backfill_id, "running", by="me", reason=None, from_states=("planned",)
    ), "applied once"
    runs: list[Run] = []
    calls = 0

    def pause_soon(request: Any, number: int) -> Response:
        nonlocal calls
        calls += 1
        if calls == 4:
            backfills.transition(
                desk.engine,
                backfill_id,
                "paused",
                by="me",
                reason="lunch",
                from_states=("running",),
            )
            runs[0].stop(StopReason.PAUSED)
        return scored(request)

    desk.server.script = pause_soon
    report = desk.run(backfill_id, runs.append)
    row = backfills.get(desk.engine, backfill_id)
    assert (row["state"], row["reason"], row["leased_chunks"]) == ("paused", "lunch", 0)
    assert 0 < row["finished"] < 100
    assert report.exit_code == 6, "work is left"
    desk.server.script = lambda request, number: scored(request)
    desk.start(backfill_id)
    assert desk.run(backfill_id).state == "done"
    assert sorted(desk.sent()) == sorted(f"good {n}" for n in range(100))
    assert backfills.get(desk.engine, backfill_id)["finished"] == 100


def test_a_function_that_changes_its_version_in_the_middle_stops_it(desk: Desk) -> None:
    with desk.engine.begin() as connection:
        connection.execute(sa.text("UPDATE sentiment.scorer SET version = '0'"))  # the old one's
    backfill_id, _ = desk.plan(target_version="1")
    desk.start(backfill_id)
    desk.server.script = lambda request, n: scored(request, model_version="1" if n < 3 else "2")
    report = desk.run(backfill_id)
    row = backfills.get(desk.engine, backfill_id)
    assert (report.state, report.exit_code, row["state"]) == ("degraded", 2, "paused")
    assert "another model version" in row["reason"]
    assert 0 < row["finished"] < 100
    assert row["leased_chunks"] == 0
    versions = (
        "SELECT DISTINCT version FROM sentiment.score JOIN sentiment.scorer s ON s.id = scorer_id"
    )
    assert set(desk.rows(versions)) == {("0",), ("1",)}, "nothing of the other version was kept"
    assert row["invocations"] == len(desk.server.requests), "what was not kept was paid for"
    desk.server.script = lambda request, number: scored(request)
    desk.start(backfill_id)
    assert desk.run(backfill_id).state == "done"
    assert desk.plan_left(target_version="1") == 0


def test_cancelled_it_leaves_nothing_open(desk: Desk) -> None:
    backfill_id, _ = desk.plan()
    desk.start(backfill_id)

    async def opened(worker: Worker) -> None:
        lane = Lane(desk.source_id, backfill_id)
        run_id = worker.ledger.start(lane, "backfill")
        assert worker.parts.journal.open_window(lane, run_id, worker.parts.planner)

    desk.go(opened)  # and dies
    lane = Lane(desk.source_id, backfill_id)
    assert backfills.get(desk.engine, backfill_id)["leased_chunks"] == 2
    backfills.transition(
        desk.engine,
        backfill_id,
        "cancelled",
        by="me",
        reason=None,
        from_states=backfills.CANCELLABLE,
    )
    assert backfills.revoke_leases(desk.engine, lane, state="paused") == 0
    assert backfills.revoke_leases(desk.engine, lane, state="cancelled") == 2
    assert desk.rows("SELECT DISTINCT state FROM sentiment.chunk WHERE lane > 0") == [
        ("cancelled",)
    ]
    assert backfills.get(desk.engine, backfill_id)["leased_chunks"] == 0


def test_the_schedule_and_a_backfill_leave_each_others_work_alone(desk: Desk) -> None:
    backfill_id, _ = desk.plan()
    desk.start(backfill_id)

    async def scene(worker: Worker) -> None:
        journal, ledger = worker.parts.journal, worker.ledger
        back, live = Lane(desk.source_id, backfill_id), Lane(desk.source_id)
        with ledger.exclusive(back, "a"), ledger.exclusive(live, "b"):
            run_id = ledger.start(back, "backfill")
            opened = journal.open_window(back, run_id, worker.parts.planner)
            assert opened
            leases, _ = opened
            live_run = ledger.start(live, "once")  # frees what its own lane had leased, no more
            assert journal.renew(run_id, leases) == set()
            assert journal.claim(live, live_run, 100, parked=True) == []
            assert journal.pending(live).records == 0
            assert journal.pending(back).records == 20

    desk.go(scene)


def test_it_stops_at_what_it_may_cost(desk: Desk) -> None:
    backfill_id, _ = desk.plan()
    desk.start(backfill_id)
    with desk.engine.begin() as connection:
        connection.execute(sa.text("UPDATE sentiment.backfill SET max_cost = 0.000001"))
    desk.settings = desk.settings.model_copy(update={"max_concurrency": 1})

    def slowly(request: Any, number: int) -> Response:
        time.sleep(0.3)
        return billed(scored(request), 300, 2048)

    desk.server.script = slowly
    report = desk.run(backfill_id)
    assert len(desk.server.requests) < 10, "it looks once a second"
    row = backfills.get(desk.engine, backfill_id)
    assert (report.exit_code, row["state"], row["leased_chunks"]) == (7, "paused", 0)


def test_a_budget_stops_a_run_and_leaves_the_work_pending(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"budget_daily": 1e-9})
    with desk.engine.begin() as connection:
        connection.execute(sa.text(
            "INSERT INTO sentiment.spend (day, source_id, scorer_id, invocations) VALUES"
            " ((now() AT TIME ZONE 'UTC')::date, 1, 9, 1000)"
        ))  # fmt: skip
    backfill_id, _ = desk.plan()
    desk.start(backfill_id)
    report = desk.run(backfill_id)
    assert (report.state, report.exit_code) == ("over_budget", 7)
    assert desk.rows("SELECT count(*) FROM sentiment.chunk WHERE leased_by IS NOT NULL") == [(0,)]
