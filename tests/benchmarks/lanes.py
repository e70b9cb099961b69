"""How the schedule and a backfill share the calls, drawn into docs/lanes.svg:

    python -m tests.benchmarks.lanes

The worker's own fan-out, 32 calls at once, a scorer that answers after 50 to 150 ms. The schedule
has work in the first two thirds of the time, the backfill in the last two.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.make import chunk
from tests.plot import BLUE, GREY, ORANGE, Curve, chart
from worker.pipeline.circuit import Circuit
from worker.pipeline.fanout import AdaptiveLimit, FanOut, Shares
from worker.records import Answer, Chunk, Lane, Outcome, ScorerId

LIMIT, SHARE, SECONDS, STEP_S = 32, 0.25, 15.0, 0.5
PAGE = Path(__file__).parents[2] / "docs" / "lanes.svg"


class Sleeper:
    """Answers after a while, always."""

    async def prepare(self) -> None: ...

    async def score(self, chunk: Chunk) -> Outcome:
        await asyncio.sleep(random.uniform(0.05, 0.15))
        return Answer(ScorerId("lambda", "m", "1"), ())

    async def close(self) -> None: ...


async def _lane(
    fanout: FanOut, lane: Lane, has_work: Callable[[], bool], under_way: dict[Lane, int]
) -> None:
    async with asyncio.TaskGroup() as group:

        async def call() -> None:
            under_way[lane] += 1
            await fanout.send(chunk("a"))
            under_way[lane] -= 1
            fanout.release()

        while has_work():
            await fanout.slot(lane)
            group.create_task(call())


async def _measured() -> dict[Lane, list[tuple[float, float]]]:
    fanout = FanOut(Sleeper(), AdaptiveLimit(LIMIT, start=LIMIT), Circuit(), shares=Shares(SHARE))
    schedule, backfill = Lane(1), Lane(1, 1)
    under_way = {schedule: 0, backfill: 0}
    seen: dict[Lane, list[tuple[float, float]]] = {schedule: [], backfill: []}
    started = time.monotonic()

    def now() -> float:
        return time.monotonic() - started

    async def later() -> None:
        await asyncio.sleep(SECONDS / 3)
        await _lane(fanout, backfill, lambda: now() < SECONDS, under_way)

    work = asyncio.gather(
        _lane(fanout, schedule, lambda: now() < SECONDS * 2 / 3, under_way), later()
    )
    samples: dict[Lane, list[int]] = {schedule: [], backfill: []}
    while not work.done():
        await asyncio.sleep(0.01)
        for lane, count in under_way.items():
            samples[lane].append(count)
        if len(samples[schedule]) * 0.01 >= STEP_S:
            for lane, counts in samples.items():
                seen[lane].append((now(), sum(counts) / len(counts)))
                counts.clear()
    await work
    return seen


def main() -> None:
    schedule, backfill = asyncio.run(_measured()).values()
    both = [
        (mine, theirs)
        for (at, mine), (_, theirs) in zip(schedule, backfill, strict=True)
        if SECONDS / 3 + 1 < at < SECONDS * 2 / 3
    ]
    share = sum(theirs for _, theirs in both) / sum(map(sum, both))
    used = sum(map(sum, both)) / len(both) / LIMIT
    print(f"both have work: the backfill has {share:.1%} of the calls (configured: {SHARE:.0%});")
    print(f"{used:.1%} of {LIMIT} are used, and by one lane alone as many")
    limit = [(0.0, float(LIMIT)), (SECONDS, float(LIMIT))]
    curves = [
        Curve("the schedule's calls", BLUE, schedule),
        Curve("the backfill's calls", ORANGE, backfill),
        Curve("limit", GREY, limit, "6 4"),
    ]
    below = f"{SECONDS:.0f} seconds; a third each: the schedule alone, both, the backfill alone"
    chart(PAGE, curves, ticks=range(0, LIMIT + 1, 8), below=below)


if __name__ == "__main__":
    main()
