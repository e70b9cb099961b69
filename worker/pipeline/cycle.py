"""One cycle of one lane: the lock, the ledger, the run, and how it ended.

Callable without a scheduler: `once`, `serve` and whatever comes later call this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog

from worker import crashpoint
from worker.errors import DatabaseUnavailable, Exit, WorkerError
from worker.log import get_logger
from worker.pipeline.circuit import Circuit
from worker.pipeline.run import Run
from worker.pipeline.work import Parts, Work
from worker.ports import Ledger, Observer, Span
from worker.records import Failure, FailureKind, Lane, Pending
from worker.states import Counters, RunReport, RunState, StopReason

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
    work: Work,
    *,
    observer: Observer,
    on_start: Callable[[Run], None] = lambda run: None,
) -> RunReport:
    """Run a lane once, alone, and bring the days up to date.

    Raises SourceBusy when another run holds it, DatabaseUnavailable when the database is away
    longer than the patience.
    """
    report = await _alone(parts, ledger, work, observer, on_start)
    try:
        await asyncio.to_thread(ledger.roll_up)
    except WorkerError as error:  # the run itself has ended well; the next one makes up for it
        log.warning("roll_up.failed", run=report.run_id, error=str(error), hint=error.hint)
    return report


async def _alone(
    parts: Parts,
    ledger: Ledger,
    work: Work,
    observer: Observer,
    on_start: Callable[[Run], None],
) -> RunReport:
    started = time.monotonic()
    async with _held(ledger, work):
        crashpoint.reached("run.locked")
        if proven := await asyncio.to_thread(ledger.proven_concurrency, work.lane):
            parts.fanout.limit.begin_at(proven)
        run_id = await asyncio.to_thread(ledger.start, work.lane, work.trigger, work.due_at)
        run = Run(parts, work, run_id, observer)
        on_start(run)
        with (
            parts.tracer.span("run", _described(run_id, work)) as span,
            structlog.contextvars.bound_contextvars(**_marks(run_id, work.name, span)),
        ):
            log.info("run.started", trigger=work.trigger)
            crashpoint.reached("run.started")
            pending = await _executed(run, parts, ledger, run_id, work.lane)
            waits = pending.records if work.claims else 0
            report = await _finished(run, parts, ledger, work, run_id, waits)
            report = replace(report, seconds=time.monotonic() - started)
            _log_end(report)
            _note_end(report, span)
            return report


async def _finished(
    run: Run, parts: Parts, ledger: Ledger, work: Work, run_id: int, pending: int
) -> RunReport:
    """How it ended, written to the ledger."""
    ending = judge_ending(
        run.counters,
        pending_records=pending,
        circuit=parts.fanout.circuit,
        failure=run.failure,
        source_error=work.feed.error,
        stopped=run.stop_reason,
    )
    crashpoint.reached("run.before_finish")
    about = (run_id, ending.state, ending.error, parts.fanout.limit.current)
    counters = await asyncio.to_thread(ledger.finish, *about)
    crashpoint.reached("run.finished")
    return RunReport(
        run_id=run_id,
        source=work.name,
        state=ending.state,
        counters=counters,
        pending=pending,
        error=ending.error,
        hint=ending.hint,
        exit_code=ending.exit_code,
        stop_reason=run.stop_reason,
    )


def _described(run_id: int, work: Work) -> dict[str, str | int]:
    return {
        "sentiment.run.id": run_id,
        "sentiment.source": work.name,
        "sentiment.trigger": work.trigger,
    }


def _marks(run_id: int, source: str, span: Span) -> dict[str, Any]:
    """On each log line of the run."""
    marks = {"run": run_id, "source": source}
    return marks | {"trace_id": span.trace_id} if span.trace_id else marks


async def _executed(run: Run, parts: Parts, ledger: Ledger, run_id: int, lane: Lane) -> Pending:
    """What is left after the run; one that breaks off is closed as failed before it raises."""
    try:
        await run.execute()
        return await asyncio.to_thread(parts.journal.pending, lane)
    except WorkerError as error:
        log.error("run.failed", error=str(error), hint=error.hint)
        if not isinstance(error, DatabaseUnavailable):  # else there is nowhere to write
            await asyncio.to_thread(ledger.finish, run_id, RunState.FAILED, str(error))
        raise
    except Exception as error:
        sentence = f"This should not have happened: {type(error).__name__}."
        await asyncio.to_thread(ledger.finish, run_id, RunState.FAILED, sentence)
        raise


@asynccontextmanager
async def _held(ledger: Ledger, work: Work) -> AsyncIterator[None]:
    """The lane's lock, taken and dropped in a thread: the database may take its time."""
    what = f"backfill {work.lane.backfill_id}" if work.lane.is_backfill else f"source {work.name!r}"
    lock = ledger.exclusive(work.lane, f"the {what}")
    await asyncio.to_thread(lock.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(lock.__exit__, None, None, None)


_GO_ON = {
    StopReason.BUDGET: "Scoring goes on in the next day or month, or when the budget is raised.",
    StopReason.MAX_COST: "Raise it: sentiment-worker backfill resume ID --max-cost USD",
}


def judge_ending(
    counters: Counters,
    *,
    pending_records: int,
    circuit: Circuit,
    failure: Failure | None,
    source_error: WorkerError | None,
    stopped: StopReason | None,
) -> Ending:
    """The worst thing that happened names the run."""
    if source_error is not None:
        # What was read before the error is stored and scored.
        state = RunState.PARTIAL if counters.read else RunState.FAILED
        return Ending(state, source_error.exit_code, str(source_error), source_error.hint)
    cause = circuit.cause
    if cause is not None and cause.kind is FailureKind.MISCONFIGURED:
        hint = "What TextBlob scored meanwhile is provisional, and replaced after the repair."
        return Ending(RunState.DEGRADED, Exit.MISUSED, cause.message, hint)
    if stopped in (StopReason.BUDGET, StopReason.MAX_COST):
        what = "The budget" if stopped is StopReason.BUDGET else "Its --max-cost"
        waits = f"{pending_records:,} records wait" if pending_records else "nothing more was read"
        why = f"{what} is spent; {waits}"
        return Ending(RunState.OVER_BUDGET, Exit.OVER_BUDGET, why, _GO_ON[stopped])
    if stopped in (StopReason.PAUSED, StopReason.CANCELLED):
        return Ending(RunState.PAUSED, Exit.DEGRADED, f"It was {stopped} while it ran")
    if stopped is StopReason.VERSION:
        hint = "Deploy the version that is wanted, or name it with LAMBDA_QUALIFIER; then resume."
        why = "The function answers with another model version than is wanted; none of it is kept"
        return Ending(RunState.DEGRADED, Exit.MISUSED, why, hint)
    if stopped:
        return Ending(stopped, Exit.DONE)
    if pending_records:
        why = f"{pending_records:,} records wait for the model"
        if found := cause or failure:
            why += f": {found.message}"
        hint = "The next run, or `serve`, scores them as soon as the Lambda answers."
        return Ending(RunState.DEGRADED, Exit.DEGRADED, why, hint)
    refused = counters.quarantined + counters.dead
    if refused:
        hint = "Look at them with: sentiment-worker quarantine list"
        why = f"{refused:,} row{'s' if refused != 1 else ''} went to quarantine"
        return Ending(RunState.QUARANTINED, Exit.QUARANTINED, why, hint)
    return Ending(RunState.DONE, Exit.DONE)


def _note_end(report: RunReport, span: Span) -> None:
    counters = report.counters
    span.note(
        {
            "sentiment.run.state": report.state,
            "sentiment.records.read": counters.read,
            "sentiment.records.scored": counters.scored,
            "sentiment.records.provisional": counters.provisional,
            "sentiment.records.pending": report.pending,
        }
    )
    if report.exit_code not in (Exit.DONE, Exit.QUARANTINED):
        span.failed(report.state)


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
