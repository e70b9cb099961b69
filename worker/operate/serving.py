"""What `serve` does: each source at its time, what came back in between, and backfills."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from worker.errors import DatabaseUnavailable, SourceBusy, WorkerError
from worker.log import get_logger
from worker.operate.backfill_queue import Backfills
from worker.operate.scanning import scan_work
from worker.operate.stopping import Stopper
from worker.operate.timetable import Job, Timetable
from worker.operate.worker import Worker, is_due, look_back, pause_of, pull_work
from worker.pipeline.cycle import cycle
from worker.pipeline.work import Work
from worker.ports import AcknowledgedSource, Silent, Source
from worker.schedule import Schedule
from worker.settings import Settings
from worker.sources import kinds
from worker.sources.config import SourceConfig
from worker.sources.kinds import Opening
from worker.states import RunReport, RunState, Trigger
from worker.store.ledger import pauses, unusual
from worker.threads import in_a_thread

log = get_logger(__name__)

LISTEN_S = 20.0
"""Seconds that one long poll waits for a message."""

QUIET_S = 3600.0
"""After so long without a run a queue has one all the same: it shows that somebody listens."""

REST_S = 30.0
"""After a queue that could not be listened to, or a run of it that another process had."""


def reviving(revive: Callable[[], None], job: Job) -> Job:
    """A database that only we can start again is, and the next tick finds it."""

    async def tried() -> None:
        try:
            await job()
        except DatabaseUnavailable:
            await asyncio.to_thread(revive)
            raise

    return tried


class SourceJobs:
    """A source's two jobs, which take turns: the pull, and the drain between pulls."""

    def __init__(
        self,
        worker: Worker,
        settings: Settings,
        config: SourceConfig,
        stopper: Stopper,
        timetable: Timetable,
        gate: asyncio.Semaphore,
    ) -> None:
        """`gate` lets so many runs in at once."""
        self._worker = worker
        self._settings = settings
        self._config = config
        self._stopper = stopper
        self._timetable = timetable
        self._gate = gate
        empty_before = partial(unusual.empty_in_a_row, worker.engine, config.name)
        self._opening = Opening(
            settings.access, empty_before=empty_before, open_transcriber=worker.open_transcriber
        )
        self._delivery: AcknowledgedSource | None = None
        """Of a source that is listened to: opened once."""
        self._ran_at: float | None = None
        self._rests_until = 0.0
        self._turn = asyncio.Lock()
        self._owed = False
        self._noted_to: datetime | None = None

    async def pull(self) -> None:
        """One that the database's absence broke off is made up for by the next drain: the
        schedule's next time may be a day away."""
        async with self._turn, self._gate:
            if not self._stopper.signal:
                self._owed = True
                self._ran_at = asyncio.get_running_loop().time()
                work = await asyncio.to_thread(self._scheduled_work)
                if work is None:
                    await self._rest()
                else:
                    await self._run(work)
                self._owed = False

    async def _run(self, work: Work) -> None:
        report = await _quiet_cycle(self._worker, work, self._stopper)
        if report is None or report.state in (RunState.OVER_BUDGET, RunState.FAILED):
            await self._rest()

    async def _rest(self) -> None:
        """Of a queue: what is in hand goes back, so that it is not held for as long as no run can
        read it."""
        if self._delivery:
            self._rests_until = asyncio.get_running_loop().time() + REST_S
            await in_a_thread(self._delivery.release)

    async def hear(self) -> bool:
        """Wait at a queue: is it time for a run? One that cannot be listened to has a run too,
        which fails, and is seen."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._rests_until - loop.time()))
        if await asyncio.to_thread(pause_of, self._worker, self._config):
            await self._rest()
            return False
        if self._ran_at is None or loop.time() - self._ran_at > QUIET_S:
            return True
        try:
            delivery = await asyncio.to_thread(self._opened)
            return await in_a_thread(partial(delivery.wait, LISTEN_S))
        except WorkerError:
            self._rests_until = loop.time() + REST_S
            return True

    async def scan(self) -> None:
        """Look for records that the source has no more; not of a source that was never read."""
        async with self._turn, self._gate:
            if not self._stopper.signal:
                work = await asyncio.to_thread(self._scan_work)
                if work is not None:
                    await _quiet_cycle(self._worker, work, self._stopper)

    def _scan_work(self) -> Work | None:
        if pause_of(self._worker, self._config):
            return None
        return scan_work(self._worker, self._config, self._opening, None)

    async def drain(self) -> None:
        """Work off what came back; opens no run when there is nothing to do."""
        if self._stopper.signal or self._turn.locked():
            return
        if self._owed:
            await self.pull()
            return
        now = asyncio.get_running_loop().time()
        work = await asyncio.to_thread(self._due_work, now)
        if work is None:
            return
        async with self._turn, self._gate:
            if not self._stopper.signal:
                await _quiet_cycle(self._worker, work, self._stopper)

    def _opened(self) -> AcknowledgedSource:
        if self._delivery is None:
            opened = kinds.open_source(self._config, self._opening)
            assert isinstance(opened, AcknowledgedSource)
            self._delivery = opened
        return self._delivery

    def _scheduled_work(self) -> Work | None:
        """None for a source that is paused, and on its days off; a pause, and what was missed
        before, are rows."""
        name, ledger = self._config.name, self._worker.ledger
        work, now = self._work(pull=True), datetime.now(UTC)
        if self._config.listens:
            return None if pause_of(self._worker, self._config) else work
        due = self._timetable.due(name) or now
        if not self._config.when.allows(now):  # a late run, or one that its jitter moved on
            log.info("source.day_off", source=name)
            self._noted_to = due
            return None
        if pause := pause_of(self._worker, self._config):
            ledger.missed(work.lane, due, f"paused {pauses.told(pause)}")
            log.info("source.paused", source=name, until=pause["until"].isoformat())
            self._noted_to = due
            return None
        passed = self._passed_over(due)
        if passed:
            ledger.missed(work.lane, passed[0], _was_busy(passed))
        heard = None if passed else ledger.last_heard_of(work.lane)
        # It may have waited for a drain: what counts is when it was due, not that it begins now.
        missed = self._config.when.missed(heard[0], heard[1] - (now - due)) if heard else []
        if missed:
            why = (
                f"{len(missed):,} runs were due from {missed[0]:%Y-%m-%d %H:%M} UTC on, and nobody "
            )
            why += "ran; the next one makes up for them"
            ledger.missed(work.lane, missed[0], why)
            log.warning("runs.missed", source=name, count=len(missed), since=missed[0].isoformat())
        self._noted_to = due
        return replace(work, due_at=due)

    def _passed_over(self, due: datetime) -> list[datetime]:
        """Of a crontab's times; an interval is kept loosely: a long run takes the place of the
        next ones. Worked out, not counted as they come: a machine that sleeps sees none of them."""
        if self._noted_to is None or not self._config.schedule:
            return []
        return self._config.when.missed(self._noted_to, due)

    def _work(self, *, pull: bool) -> Work:
        c = self._config
        source: Source | None = None
        trigger = Trigger.DRAIN
        if pull:
            source = self._opened() if c.listens else kinds.open_source(c, self._opening)
            trigger = Trigger.SCHEDULE
        return pull_work(self._worker, self._settings, c.name, c.kind, source, trigger)

    def _due_work(self, now: float) -> Work | None:
        work = self._work(pull=False)
        if self._config.name in pauses.current(self._worker.engine):
            return None
        due = is_due(self._worker, work.lane, now)
        return work if due and not (work.supervise and work.supervise()) else None


def _was_busy(passed: Sequence[datetime]) -> str:
    return (
        f"{len(passed):,} runs were due from {passed[0]:%Y-%m-%d %H:%M} UTC on, while the one "
        "before was under way; the next one makes up for them"
    )


async def _quiet_cycle(worker: Worker, work: Work, stopper: Stopper) -> RunReport | None:
    try:
        report = await cycle(
            worker.parts,
            worker.ledger,
            work,
            observer=Silent(),
            on_start=stopper.watch,
        )
        with contextlib.suppress(DatabaseUnavailable):  # the run itself has ended well
            await asyncio.to_thread(look_back, worker, work, report)
        return report
    except SourceBusy as error:
        log.debug("lane.busy", source=work.name, error=str(error))
        return None
    finally:
        # The command lets the collector rest (`cli._tune_interpreter`); a run's tasks and reflected
        # tables are cycles, and a process that lives for months would keep each run's.
        gc.collect()


def timetable_of(
    worker: Worker,
    settings: Settings,
    sources: Sequence[SourceConfig],
    revive: Callable[[], None],
) -> Timetable:
    """All that `serve` does, at its times. `revive` starts a database that only we can start."""
    timetable = Timetable()
    stopper = Stopper(timetable.stop)
    # Each run holds a connection for its lock; a thousand sources are due at once.
    gate = asyncio.Semaphore(settings.runs_at_once)
    for source in sources:
        jobs = SourceJobs(worker, settings, source, stopper, timetable, gate)
        if source.listens:
            timetable.add_listener(source.name, jobs.hear, reviving(revive, jobs.pull))
        else:
            timetable.add(source, reviving(revive, jobs.pull))
        if source.scan.every:
            every = Schedule(every=source.scan.every)
            timetable.add_other(f"scan:{source.name}", every, reviving(revive, jobs.scan))
        timetable.add_drain(f"drain:{source.name}", reviving(revive, jobs.drain))
    others = Backfills(worker, settings, stopper)
    timetable.add_drain("backfills", reviving(revive, others.work_off))
    return timetable
