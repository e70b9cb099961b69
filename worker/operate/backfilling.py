"""Running and stopping backfills, for the command and for `serve` alike."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Engine

from worker.cost import Prices
from worker.errors import ConfigurationError, DatabaseUnavailable
from worker.operate.budget import over_budget
from worker.operate.stopping import Stopper
from worker.operate.who import operator
from worker.operate.worker import Worker
from worker.pipeline.circuit import CircuitState
from worker.pipeline.cycle import cycle
from worker.pipeline.feed import WindowFeed
from worker.pipeline.work import Work
from worker.ports import Observer
from worker.records import Answer, Failure, FailureKind, Lane, Outcome
from worker.scoring.aws_lambda import identify
from worker.scoring.target import LambdaTarget
from worker.selection import ChunkSizes, Selection
from worker.settings import Settings
from worker.states import BackfillState, RunReport, StopReason, Trigger
from worker.store.ledger import backfills, spending

Row = Mapping[str, Any]


STOP_PATIENCE_S = 10.0
"""How long a stop waits for calls under way before it takes their leases back."""

ASK_AGAIN_AFTER_S = (1.0, 2.0, 4.0, 8.0)
"""Between tries to learn the function's model version."""

PASSING = (FailureKind.THROTTLED, FailureKind.UNAVAILABLE)


async def run(
    worker: Worker,
    settings: Settings,
    row: Row,
    observer: Observer,
    stopper: Stopper,
    *,
    detached: bool = False,
) -> RunReport:
    """One run of a backfill that is running, as `backfills.get` gives it.

    Raises ConfigurationError where the function has another model version than the plan wants, or
    does not answer, and SourceBusy where another process has it. Whoever runs it in the foreground
    learns why it is paused then, or when told to stop; `detached`, it stays running: the process
    that takes it up next, or in whose shell the right function is named, goes on.
    """
    lane = Lane(row["source_id"], row["id"])
    try:
        await _require_version(worker, Selection.from_json(row["selection"]).target_version)
    except ConfigurationError as error:
        if not detached:
            await asyncio.to_thread(pause, worker.engine, row["id"], str(error))
        raise
    await asyncio.to_thread(backfills.explain, worker.engine, row["id"], None)
    work = backfill_work(worker, settings, row)
    report = await cycle(
        worker.parts, worker.ledger, work, observer=observer, on_start=stopper.watch
    )
    told = report.stop_reason
    if detached and told in (StopReason.SIGNAL, StopReason.VERSION):
        told = None
    with contextlib.suppress(DatabaseUnavailable):  # `serve`, or `resume`, closes it later
        await asyncio.to_thread(close, worker, lane, told)
    return report


async def _require_version(worker: Worker, wanted: str | None) -> None:
    """TextBlob by choice has versions of its own; it is not asked."""
    if wanted is None or worker.target is None:
        return
    outcome = await _identified(worker.target)
    if not isinstance(outcome, Answer):
        raise ConfigurationError(
            f"The function's model version is not known: {outcome.message or outcome.code}",
            hint="See: sentiment-worker doctor",
        )
    found = outcome.scorer.version
    if found != wanted:
        raise ConfigurationError(
            f"The function answers with model version {found}, the plan wants {wanted}.",
            hint="Deploy that version, name it with LAMBDA_QUALIFIER, or plan anew.",
        )


async def _identified(target: LambdaTarget) -> Outcome:
    """An answer; or a failure that stays, or lasts longer than a hiccup does."""
    for pause_s in (*ASK_AGAIN_AFTER_S, None):
        outcome = await identify(target)
        passing = isinstance(outcome, Failure) and outcome.kind in PASSING
        if not passing or pause_s is None:
            break
        await asyncio.sleep(random.uniform(0.5, 1.0) * pause_s)  # noqa: S311  not a secret
    return outcome


def backfill_work(worker: Worker, settings: Settings, row: Mapping[str, Any]) -> Work:
    """A run of a backfill, as `store.backfills.get` gives it."""
    lane = Lane(row["source_id"], row["id"])
    sizes = ChunkSizes(row["plan"]["chunk_texts"], row["plan"]["chunk_bytes"])
    circuit = worker.parts.fanout.circuit
    feed = WindowFeed(
        worker.parts.journal,
        sizes.planner(),
        lane,
        lambda: circuit.state is CircuitState.CLOSED,
    )
    supervise = partial(_stops, worker.engine, settings, lane, row["max_cost"])
    # TextBlob by choice has versions of its own.
    version = row["selection"]["target_version"] if worker.target else None
    return Work(row["source"], lane, feed, Trigger.BACKFILL, supervise, version=version)


def close(worker: Worker, lane: Lane, stop_reason: str | None = None) -> None:
    """Say of a backfill whose run has ended, or never began, what it is now.

    One that stopped at its own limit, or by a signal, is paused; at a budget of the day or month it
    goes on by itself when that is over; of one that was cancelled nothing stays open.
    """
    engine, by, backfill_id = worker.engine, worker.name, lane.backfill_id
    reasons = {
        StopReason.MAX_COST: "its --max-cost is spent",
        StopReason.SIGNAL: "its process was told to stop",
        StopReason.VERSION: "the function answers with another model version than is wanted",
    }
    backfills.finish(engine, lane, by=by)  # it may have come to its end all the same
    if stop_reason in reasons:
        reason = reasons[StopReason(stop_reason)]
        running = (BackfillState.RUNNING,)
        backfills.transition(
            engine, backfill_id, BackfillState.PAUSED, by=by, reason=reason, from_states=running
        )
    elif stop_reason is StopReason.BUDGET:
        backfills.explain(engine, backfill_id, "the budget of the day or month is spent")
    if backfills.state_of(engine, backfill_id) == BackfillState.CANCELLED:
        backfills.revoke_leases(engine, lane, state=BackfillState.CANCELLED)


def pause(engine: Engine, backfill_id: int, reason: str) -> None:
    """Pause one that is running; nothing happens to another."""
    running = (BackfillState.RUNNING,)
    backfills.transition(
        engine, backfill_id, BackfillState.PAUSED, by=operator(), reason=reason, from_states=running
    )


def stop(
    engine: Engine, backfill_id: int, state: str, from_states: Sequence[str], reason: str | None
) -> Row:
    """Pause or cancel, wait for calls under way, and see that nothing stays leased.

    Raises ConfigurationError where it is in another state by now.
    """
    if not backfills.transition(
        engine, backfill_id, state, by=operator(), reason=reason, from_states=from_states
    ):
        raise ConfigurationError(
            f"Backfill {backfill_id} is {backfills.state_of(engine, backfill_id)}.",
            hint="There is nothing to stop.",
        )
    row = backfills.get(engine, backfill_id)
    deadline = time.monotonic() + STOP_PATIENCE_S
    while row["leased_chunks"] and time.monotonic() < deadline:
        time.sleep(0.3)
        row = backfills.get(engine, backfill_id)
    # Whoever still has a lease is dead, or too slow: its answer is refused by the fence.
    lane = Lane(row["source_id"], backfill_id)
    backfills.revoke_leases(engine, lane, state=state)
    return backfills.get(engine, backfill_id)


def with_cost(row: Row, prices: Prices) -> dict[str, Any]:
    """With US dollars, and the seconds that are left at the speed until now (None: unknown)."""
    spent = prices.usd(invocations=row["invocations"], mb_ms=row["billed_mb_ms"])
    left, done = row["records"] - row["finished"], row["finished"]
    rate = done / row["seconds"] if row["seconds"] else 0.0
    known = row["state"] == BackfillState.RUNNING and rate
    found = {name: value for name, value in row.items() if name != "at_work"} | {
        "cost_usd": round(spent, 6),
        "time_left_s": round(left / rate, 1) if known else (0.0 if not left else None),
    }
    if row["state"] == BackfillState.RUNNING and not row["at_work"] and not row["reason"]:
        found["reason"] = (
            f"no process is at work on it: start `serve`, or: backfill resume {row['id']}"
        )
    if "plan" in row:
        found["planned_usd"] = row["plan"].get("cost_usd")
    return found


def _stops(
    engine: Engine, settings: Settings, lane: Lane, max_cost: float | None
) -> StopReason | None:
    """Why a backfill should stop now: a person's word, its own limit, or everybody's."""
    if (state := backfills.state_of(engine, lane.backfill_id)) != BackfillState.RUNNING:
        return StopReason.CANCELLED if state == BackfillState.CANCELLED else StopReason.PAUSED
    spent = spending.spent_by_backfill(engine, lane, settings.prices)
    if max_cost is not None and spent >= max_cost:
        return StopReason.MAX_COST
    return over_budget(engine, settings)
