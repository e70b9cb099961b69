"""One cycle of one source: the lock, the ledger, the run, and how it ended.

Callable without a scheduler: `once`, `serve` and whatever comes later call this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from worker import crashpoint
from worker.circuit import Circuit
from worker.errors import DatabaseUnavailable, Exit, WorkerError
from worker.log import get_logger
from worker.pipeline import Parts, Run
from worker.ports import Ledger, Observer, Source
from worker.records import NOTHING_AGAIN, Counters, FailureKind, Pending, Redrive, RunReport

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: its state in the ledger, and what the command makes of it."""

    state: str
    exit_code: int
    error: str | None = None
    hint: str = ""


async def cycle(
    parts: Parts,
    ledger: Ledger,
    *,
    name: str,
    kind: str,
    source: Source | None,
    trigger: str,
    observer: Observer,
    on_start: Callable[[Run], None] = lambda run: None,
    redrive: Redrive = NOTHING_AGAIN,
) -> RunReport:
    """Run a source once, alone. `source` None only works off what is pending.

    Raises SourceBusy when another run holds it, DatabaseUnavailable when the database is away
    longer than the patience.
    """
    started = time.monotonic()
    source_id = await asyncio.to_thread(ledger.source_id, name, kind)
    async with _held(ledger, source_id, name):
        crashpoint.reached("run.locked")
        run_id = await asyncio.to_thread(ledger.start, source_id, trigger)
        run = Run(
            parts, source, source_id=source_id, run_id=run_id, observer=observer, redrive=redrive
        )
        on_start(run)
        with structlog.contextvars.bound_contextvars(run=run_id, source=name):
            log.info("run.started", trigger=trigger)
            crashpoint.reached("run.started")
            pending = await _executed(run, parts, ledger, run_id, source_id)
            ending = judge_ending(
                run.counters,
                pending_records=pending.records,
                circuit=parts.fanout.circuit,
                source_error=run.source_error,
                stopped=run.stopped,
            )
            crashpoint.reached("run.before_finish")
            counters = await asyncio.to_thread(ledger.finish, run_id, ending.state, ending.error)
            crashpoint.reached("run.finished")
            report = RunReport(
                run_id=run_id,
                source=name,
                state=ending.state,
                counters=counters,
                pending=pending.records,
                error=ending.error,
                hint=ending.hint,
                exit_code=ending.exit_code,
                seconds=time.monotonic() - started,
            )
            _log_end(report)
            return report


async def _executed(run: Run, parts: Parts, ledger: Ledger, run_id: int, source_id: int) -> Pending:
    """What is left after the run; one that breaks off is closed as failed before it raises."""
    try:
        await run.execute()
        return await asyncio.to_thread(parts.journal.pending, source_id)
    except WorkerError as error:
        log.error("run.failed", error=str(error), hint=error.hint)
        if not isinstance(error, DatabaseUnavailable):  # else there is nowhere to write
            await asyncio.to_thread(ledger.finish, run_id, "failed", str(error))
        raise
    except Exception as error:
        sentence = f"This should not have happened: {type(error).__name__}."
        await asyncio.to_thread(ledger.finish, run_id, "failed", sentence)
        raise


@asynccontextmanager
async def _held(ledger: Ledger, source_id: int, name: str) -> AsyncIterator[None]:
    """The source's lock, taken and dropped in a thread: the database may take its time."""
    lock = ledger.exclusive(source_id, name)
    await asyncio.to_thread(lock.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(lock.__exit__, None, None, None)


def judge_ending(
    counters: Counters,
    *,
    pending_records: int,
    circuit: Circuit,
    source_error: WorkerError | None,
    stopped: bool,
) -> Ending:
    """The worst thing that happened names the run."""
    if source_error is not None:
        return Ending("failed", source_error.exit_code, str(source_error), source_error.hint)
    cause = circuit.cause
    if cause is not None and cause.kind is FailureKind.MISCONFIGURED:
        hint = "What TextBlob scored meanwhile is provisional, and replaced after the repair."
        return Ending("degraded", Exit.MISUSED, cause.message, hint)
    if stopped:
        return Ending("stopped", Exit.DONE)
    if pending_records:
        why = f"{pending_records:,} records wait for the model"
        if cause is not None:
            why += f": {cause.message}"
        hint = "The next run, or `serve`, scores them as soon as the Lambda answers."
        return Ending("degraded", Exit.DEGRADED, why, hint)
    refused = counters.quarantined + counters.dead
    if refused:
        hint = "Look at them with: sentiment-worker quarantine list"
        why = f"{refused:,} row{'s' if refused != 1 else ''} went to quarantine"
        return Ending("quarantined", Exit.QUARANTINED, why, hint)
    return Ending("done", Exit.DONE)


def _log_end(report: RunReport) -> None:
    c = report.counters
    log.info(
        "run.finished",
        state=report.state,
        error=report.error,
        seconds=round(report.seconds, 3),
        read=c.read,
        new=c.new,
        changed=c.changed,
        unchanged=c.unchanged,
        quarantined=c.quarantined,
        texts_sent=c.texts_sent,
        scored=c.scored,
        provisional=c.provisional,
        pending=report.pending,
    )
