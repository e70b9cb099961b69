"""What `serve` does: each source at its time, what came back in between, and backfills."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from worker.errors import ConfigurationError, DatabaseUnavailable, SourceBusy
from worker.log import get_logger
from worker.operate import backfilling
from worker.operate.stopping import Stopper
from worker.operate.timetable import Job, Timetable
from worker.operate.worker import Worker, look_back, pause_of, pull_work
from worker.pipeline.circuit import CircuitState
from worker.pipeline.cycle import cycle
from worker.pipeline.work import Work
from worker.ports import Silent
from worker.records import Lane
from worker.settings import Settings
from worker.sources import kinds
from worker.sources.config import SourceConfig
from worker.sources.kinds import Opening
from worker.states import BackfillState, RunReport, StopReason, Trigger
from worker.store.ledger import backfills, pauses, unusual

log = get_logger(__name__)

ASK_AGAIN_S = 60.0
"""Between two looks at a backfill that waits for another model version."""


def reviving(revive: Callable[[], None], job: Job) -> Job:
    """A database that only we can start again is, and the next tick finds it."""

    async def tried() -> None:
        try:
            await job()
        except DatabaseUnavailable:
            await asyncio.to_thread(revive)
            raise

    return tried


class Turns:
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
        self._opening = Opening(settings.access, empty_before=empty_before)
        self._turn = asyncio.Lock()
        self._owed = False
        self._noted_to: datetime | None = None

    async def pull(self) -> None:
        """One that the database's absence broke off is made up for by the next drain: the
        schedule's next time may be a day away."""
        async with self._turn, self._gate:
            if not self._stopper.signal:
                self._owed = True
                work = await asyncio.to_thread(self._scheduled_work)
                if work is not None:
                    await _quiet_cycle(self._worker, work, self._stopper)
                self._owed = False

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

    def _scheduled_work(self) -> Work | None:
        """None for a source that is paused, and on its days off; a pause, and what was missed
        before, are rows."""
        name, ledger = self._config.name, self._worker.ledger
        work, now = self._work(pull=True), datetime.now(UTC)
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
        source, trigger = None, Trigger.DRAIN
        if pull:
            source, trigger = kinds.open_source(c, self._opening), Trigger.SCHEDULE
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


def is_due(worker: Worker, lane: Lane, now: float) -> bool:
    """Is there something of the lane to be sent, or to be scored provisionally?"""
    pending = worker.parts.journal.pending(lane)
    active = pending.active_due_in_s is not None and pending.active_due_in_s <= 0
    parked = pending.parked_due_in_s is not None and pending.parked_due_in_s <= 0
    overdue = pending.overdue_in_s is not None and pending.overdue_in_s <= 0
    return active or overdue or (parked and worker.parts.fanout.circuit.probe_due(now))


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


class Backfills:
    """Runs what was applied with --detach, or lost its process, one backfill at a time."""

    def __init__(self, worker: Worker, settings: Settings, stopper: Stopper) -> None:
        self._worker = worker
        self._settings = settings
        self._stopper = stopper
        self._ask_again_at: dict[int, float] = {}

    async def work_off(self) -> None:
        now = asyncio.get_running_loop().time()
        for row in await asyncio.to_thread(self._due, now):
            if self._stopper.signal:
                return
            try:
                report = await backfilling.run(
                    self._worker,
                    self._settings,
                    row,
                    Silent(),
                    self._stopper,
                    detached=True,
                )
                if report.stop_reason == StopReason.VERSION:
                    await self._put_off(row["id"], now, report.error or "")
            except SourceBusy as error:
                log.debug("backfill.busy", backfill=row["id"], error=str(error))
            except ConfigurationError as error:
                await self._put_off(row["id"], now, str(error))
            finally:
                gc.collect()  # see `_quiet_cycle`

    async def _put_off(self, backfill_id: int, now: float, why: str) -> None:
        """Another shell may name the function that it wants; asking costs a call."""
        self._ask_again_at[backfill_id] = now + ASK_AGAIN_S
        await asyncio.to_thread(backfills.explain, self._worker.engine, backfill_id, why)
        log.warning("backfill.waits", backfill=backfill_id, error=why)

    def _due(self, now: float) -> list[Mapping[str, Any]]:
        """Backfills with something to do. One whose last run could not say how it ended is
        closed; one that may spend no more is paused."""
        engine, found = self._worker.engine, []
        for listed in reversed(
            backfills.listed(engine, states=(BackfillState.RUNNING,), limit=100)
        ):
            row = backfills.get(engine, listed["id"])
            lane = Lane(row["source_id"], row["id"])
            if now < self._ask_again_at.get(row["id"], 0.0):
                continue
            work = backfilling.backfill_work(self._worker, self._settings, row)
            reason = work.supervise() if work.supervise else None
            if reason is None and self._has_work(lane, now):
                found.append(row)
            else:
                backfilling.close(self._worker, lane, reason)
        return found

    def _has_work(self, lane: Lane, now: float) -> bool:
        """A window that may be opened (into an outage only to probe), or a chunk that is due."""
        circuit = self._worker.parts.fanout.circuit
        may_open = circuit.state is CircuitState.CLOSED or circuit.probe_due(now)
        to_open = may_open and backfills.has_windows(self._worker.engine, lane.backfill_id)
        return to_open or is_due(self._worker, lane, now)


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
        turns = Turns(worker, settings, source, stopper, timetable, gate)
        timetable.add(source, reviving(revive, turns.pull))
        timetable.add_drain(f"drain:{source.name}", reviving(revive, turns.drain))
    others = Backfills(worker, settings, stopper)
    timetable.add_drain("backfills", reviving(revive, others.work_off))
    return timetable
