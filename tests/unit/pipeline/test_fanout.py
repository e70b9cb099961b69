from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import chunk
from worker.pipeline.circuit import Circuit
from worker.pipeline.fanout import AdaptiveLimit, FanOut, Shares
from worker.records import Answer, Chunk, Failure, FailureKind, Lane, LaneKind, Outcome, ScorerId


def test_doubles_each_round_trip_until_the_first_throttle() -> None:
    limit = AdaptiveLimit(64)
    for expected in (2, 4, 8):
        for _ in range(limit.current):
            limit.succeeded()
        assert limit.current == expected


def test_a_burst_of_throttles_shrinks_once_and_then_grows_by_one_a_round_trip() -> None:
    limit = AdaptiveLimit(100, start=50)
    epoch = limit.epoch
    for _ in range(50):
        limit.throttled(epoch)
    assert limit.current == 35
    for _ in range(35):
        limit.succeeded()
    assert 35 <= limit.current <= 36


def test_never_below_one_nor_above_the_ceiling() -> None:
    limit = AdaptiveLimit(3)
    for _ in range(50):
        limit.throttled(limit.epoch)
    assert limit.current == 1
    for _ in range(50):
        limit.succeeded()
    assert limit.current == 3


BACKFILL, SCHEDULE = LaneKind.BACKFILL, LaneKind.SCHEDULE


class Counting:
    def __init__(self) -> None:
        self.now = self.most = self.calls = 0

    async def prepare(self) -> None: ...

    async def score(self, chunk: Chunk) -> Outcome:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        return Answer(ScorerId("lambda", "m", "1"), ())

    async def close(self) -> None:
        pass


def test_no_more_calls_under_way_than_the_limit() -> None:
    async def scene() -> Counting:
        scorer = Counting()
        fanout = FanOut(scorer, AdaptiveLimit(5, start=5), Circuit())
        async with asyncio.TaskGroup() as group:
            for _ in range(60):
                await fanout.slot(Lane(1))
                call = group.create_task(fanout.send(chunk("a")))
                call.add_done_callback(lambda _: fanout.release())
        return scorer

    scorer = asyncio.run(scene())
    assert scorer.calls == 60
    assert scorer.most == 5


def test_an_open_circuit_sends_nothing_and_says_why() -> None:
    async def scene() -> tuple[Outcome, int]:
        scorer, circuit = Counting(), Circuit()
        fanout = FanOut(scorer, AdaptiveLimit(5), circuit, clock=lambda: 10.0)
        circuit.record(Failure(FailureKind.MISCONFIGURED, "denied", "Not allowed."), 10.0)
        await fanout.slot(Lane(1))
        return await fanout.send(chunk("a")), scorer.calls

    outcome, calls = asyncio.run(scene())
    assert outcome == Failure(FailureKind.CIRCUIT_OPEN, "denied", "Not allowed.")
    assert calls == 0


@given(st.floats(0.05, 0.95), st.lists(st.sampled_from(["both", "live", "back"]), max_size=300))
def test_neither_lane_starves_and_an_idle_one_lends_its_share(
    share: float, scenes: list[str]
) -> None:
    shares = Shares(share)
    waits = dict.fromkeys(LaneKind, 0)
    for scene in scenes:
        waiting = {"both": [*LaneKind], "live": [SCHEDULE], "back": [BACKFILL]}[scene]
        chosen = shares.next(waiting)
        assert chosen in waiting, "a turn is never wasted"
        for kind, turns in ((BACKFILL, 1 / share), (SCHEDULE, 1 / (1 - share))):
            waits[kind] = waits[kind] + 1 if kind in waiting and kind != chosen else 0
            assert waits[kind] <= turns + 1


@given(st.floats(0.05, 0.95), st.lists(st.sampled_from(LaneKind), max_size=50))
def test_two_that_wait_get_their_shares_whatever_was_before(
    share: float, before: list[LaneKind]
) -> None:
    shares = Shares(share)
    for alone in before:
        shares.next([alone])
    turns = [shares.next([*LaneKind]) for _ in range(400)]
    assert abs(turns.count(BACKFILL) - 400 * share) <= 1 / min(share, 1 - share) + 1


def test_lanes_share_the_calls_that_are_under_way() -> None:
    async def scene() -> Counter[LaneKind]:
        started: Counter[LaneKind] = Counter()
        scorer = Counting()
        fanout = FanOut(scorer, AdaptiveLimit(4, start=4), Circuit(), shares=Shares(0.25))

        async def lane(which: Lane) -> None:
            async with asyncio.TaskGroup() as group:
                while started.total() < 400:
                    await fanout.slot(which)
                    started[which.kind] += 1
                    call = group.create_task(fanout.send(chunk("a")))
                    call.add_done_callback(lambda _: fanout.release())

        await asyncio.gather(lane(Lane(1)), lane(Lane(1, 7)))
        return started

    started = asyncio.run(scene())
    assert 90 <= started[BACKFILL] <= 110


def test_a_waiter_that_is_cancelled_takes_no_slot_with_it() -> None:
    async def scene() -> int:
        fanout = FanOut(Counting(), AdaptiveLimit(1), Circuit())
        await fanout.slot(Lane(1))
        waiting = asyncio.create_task(fanout.slot(Lane(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        fanout.release()  # in the same tick
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(1):
            await fanout.slot(Lane(1))
        return fanout.under_way

    assert asyncio.run(scene()) == 1


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_calls_that_end_together_are_shared_too(share: float) -> None:
    """Many slots come free in one tick; the first lane to come must not take them all."""

    async def scene() -> Counter[LaneKind]:
        started: Counter[LaneKind] = Counter()
        fanout = FanOut(Counting(), AdaptiveLimit(64, start=64), Circuit(), shares=Shares(share))

        async def lane(which: Lane) -> None:
            while started.total() < 2_000:
                await fanout.slot(which)
                started[which.kind] += 1

        async def ends() -> None:
            while started.total() < 2_000:
                await asyncio.sleep(0.001)
                for _ in range(min(16, fanout.under_way)):
                    fanout.release()

        lanes = [asyncio.create_task(lane(each)) for each in (Lane(1), Lane(1, 7))]
        await ends()
        for task in lanes:
            task.cancel()
        return started

    started = asyncio.run(scene())
    assert started[BACKFILL] / started.total() == pytest.approx(share, abs=0.03)


def test_a_limit_begins_where_an_earlier_process_was_until_a_call_has_told() -> None:
    limit = AdaptiveLimit(64)
    limit.begin_at(48)
    assert limit.current == 48
    limit.begin_at(100)
    assert limit.current == 64, "the ceiling holds"
    limit.throttled(limit.epoch)
    reached = limit.current
    limit.begin_at(64)
    assert limit.current == reached < 64
