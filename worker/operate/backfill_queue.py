"""Backfills that `serve` works off, one at a time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from typing import Any

from worker.errors import ConfigurationError, SourceBusy
from worker.log import get_logger
from worker.operate import backfilling
from worker.operate.stopping import Stopper
from worker.operate.worker import Worker, is_due
from worker.pipeline.circuit import CircuitState
from worker.ports import Silent
from worker.records import Lane
from worker.settings import Settings
from worker.states import BackfillState, StopReason
from worker.store.ledger import backfills

log = get_logger(__name__)

ASK_AGAIN_S = 60.0
"""Between two looks at a backfill that waits for another model version."""


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
                gc.collect()  # see `worker.operate.serving`

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
