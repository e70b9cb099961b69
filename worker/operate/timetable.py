"""APScheduler around "run this source once".

The cursor is the catch-up, so a missed run needs no replay: each source runs once at start
(unless that is one of its days off), late runs are made up for by one (`coalesce`), and none is
dropped for being late.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.events import EVENT_JOB_SUBMITTED, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from worker.errors import WorkerError
from worker.log import get_logger
from worker.schedule import Schedule
from worker.sources.config import SourceConfig

log = get_logger(__name__)

DRAIN = Schedule(every=timedelta(seconds=5))

CLOCK_CHECK_S = 2.0
"""How often the clock is looked at: set back, it would let every job wait for what it had been."""

Job = Callable[[], Awaitable[None]]


class _Trigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """A schedule as APScheduler asks for it."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return self._schedule.after(previous or now)


class Timetable:
    """Sources and their jobs. `run` returns when `stop` was called and all jobs have ended."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._submitted, EVENT_JOB_SUBMITTED)
        self._due: dict[str, datetime] = {}
        self._stopped = asyncio.Event()
        self._at_work: set[asyncio.Task[None]] = set()
        self._listeners: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def add(self, source: SourceConfig, job: Job) -> None:
        """A source's job: by its schedule, and once at start, unless that is a day off."""
        now = datetime.now(UTC)
        start = now if source.when.allows(now) else None
        jittered = partial(self._jittered, source, start, job)
        first = start or source.when.after(now)
        self._add(f"source:{source.name}", source.when, source.name, jittered, next_run_time=first)

    def add_drain(self, name: str, job: Job) -> None:
        """What is looked for every few seconds: retries, the provisional, backfills."""
        self._add(name, DRAIN, name, job)

    def add_other(self, name: str, schedule: Schedule, job: Job) -> None:
        """Anything else, at its times; not at start."""
        self._add(name, schedule, name, job)

    def add_listener(self, name: str, hear: Callable[[], Awaitable[bool]], job: Job) -> None:
        """A job that is done whenever `hear`, which waits for it, returns True."""
        self._listeners.append(partial(self._listen, name, hear, job))

    async def run(self) -> None:
        self._scheduler.start()
        listening = [asyncio.create_task(listen()) for listen in self._listeners]
        watch = asyncio.create_task(self._watch_the_clock())
        await self._stopped.wait()
        watch.cancel()
        self._scheduler.pause()
        await asyncio.gather(*self._at_work, *listening, return_exceptions=True)
        self._scheduler.shutdown(wait=False)

    def stop(self) -> None:
        self._stopped.set()

    def due(self, name: str) -> datetime | None:
        """When the schedule wanted the run of a source that is under way."""
        return self._due.get(f"source:{name}")

    def _add(self, key: str, schedule: Schedule, name: str, job: Job, **more: datetime) -> None:
        self._scheduler.add_job(self._guarded, _Trigger(schedule), args=(name, job), id=key, **more)

    def _submitted(self, event: JobSubmissionEvent) -> None:
        self._due[event.job_id] = event.scheduled_run_times[-1]

    async def _watch_the_clock(self) -> None:
        """Next times are times of day. Where the clock goes back they are worked out anew; where
        it goes on they are late, and made up for by one run."""
        offset = time.time() - time.monotonic()
        while True:
            await asyncio.sleep(CLOCK_CHECK_S)
            before, offset = offset, time.time() - time.monotonic()
            if offset < before - CLOCK_CHECK_S:
                log.warning("clock.set_back", seconds=round(before - offset))
                for job in self._scheduler.get_jobs():
                    job.reschedule(job.trigger)

    async def _jittered(self, source: SourceConfig, start: datetime | None, job: Job) -> None:
        """Not at start: who starts `serve` wants to see that it works."""
        if source.jitter and self.due(source.name) != start:
            wait_s = random.uniform(0, source.jitter.total_seconds())  # noqa: S311  no secret
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), wait_s)
        await job()

    async def _listen(self, name: str, hear: Callable[[], Awaitable[bool]], job: Job) -> None:
        stopped = asyncio.create_task(self._stopped.wait())
        while not stopped.done():
            hearing = asyncio.ensure_future(hear())
            await asyncio.wait({hearing, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                hearing.cancel()
                return

            async def heard(hearing: asyncio.Future[bool] = hearing) -> None:
                if hearing.result():
                    await job()

            if not await _attempted(name, heard):
                await asyncio.wait({stopped}, timeout=DRAIN.every.total_seconds())

    async def _guarded(self, name: str, job: Job) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._at_work.add(task)
        try:
            await _attempted(name, job)
        finally:
            self._at_work.discard(task)


async def _attempted(name: str, job: Job) -> bool:
    """A job's error ends that job's run, never the process; did it end without one?"""
    try:
        await job()
    except WorkerError as error:
        log.error("job.failed", source=name, error=str(error), hint=error.hint)
    except Exception:
        log.exception("job.crashed", source=name)
    else:
        return True
    return False
