"""Running, following and stopping a backfill, told to a person."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine

from worker import bootstrap, cost
from worker.cli import progress
from worker.cli.output import (
    WORDS,
    Output,
    print_json,
    say,
)
from worker.errors import ConfigurationError, Exit
from worker.operate import backfilling
from worker.operate.stopping import Stopper
from worker.operate.who import operator
from worker.settings import Settings
from worker.states import BackfillState, RunReport
from worker.store import migrate
from worker.store.ledger import backfills


def go(
    settings: Settings,
    backfill_id: int,
    from_states: Sequence[str],
    output: Output,
    *,
    detach: bool,
) -> int:
    with bootstrap.open_database(settings) as engine, bootstrap.open_lambda(settings) as target:
        migrate.require_current(engine)
        if not backfills.transition(
            engine,
            backfill_id,
            BackfillState.RUNNING,
            by=operator(),
            reason=None,
            from_states=from_states,
        ):
            raise ConfigurationError(f"Backfill {backfill_id} was changed by somebody else.")
        if detach:
            say("A running `serve` takes it up within seconds; see: backfill status")
            return Exit.DONE

        async def running() -> tuple[RunReport, int]:
            async with bootstrap.open_worker(settings, engine, target) as worker:
                stopper = Stopper(lambda: None)
                row = backfills.get(engine, backfill_id)
                with progress.backfill_bar(row) as observer:
                    report = await backfilling.run(worker, settings, row, observer, stopper)
                return report, stopper.signal

        report, signal = asyncio.run(running())
        row = backfills.get(engine, backfill_id)
    tell(row, report, settings.prices)
    if output is Output.JSON:
        print_json(backfilling.with_cost(row, settings.prices))
    return 128 + signal if signal else report.exit_code


def tell(row: Mapping[str, Any], report: RunReport, prices: cost.Prices) -> None:
    spent = prices.usd(invocations=row["invocations"], mb_ms=row["billed_mb_ms"])
    say(
        f"Backfill {row['id']} is {row['state']}: {row['finished']:,} of {row['records']:,} "
        f"records, {row['invocations']:,} calls ({row['planned_invocations']:,} planned), "
        f"{spent:.4f} USD ({row['plan']['cost_usd']:.4f} planned)."
    )
    if report.error:
        say(f"{report.error}.", style="yellow")
    if row["state"] in (BackfillState.PAUSED, BackfillState.RUNNING):
        say(report.hint or f"Go on with: sentiment-worker backfill resume {row['id']}")


SHOWN = (
    *("source", "state", "reason", "since", "until", "records", "finished", "time_left_s"),
    *("planned_invocations", "invocations", "planned_usd", "cost_usd", "max_cost", "scored"),
    *("superseded", "dead", "leased_chunks", "created_by", "changed_by"),
)


def followed(engine: Engine, row: dict[str, Any], prices: cost.Prices) -> dict[str, Any]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=WORDS) as bar:
        task = bar.add_task(f"backfill {row['id']}", total=row["records"])
        while True:
            bar.update(task, completed=row["finished"])
            if row["state"] != BackfillState.RUNNING:
                return row
            time.sleep(0.5)
            row = backfilling.with_cost(backfills.get(engine, row["id"]), prices)


def stop(
    engine: Engine,
    backfill_id: int,
    state: str,
    from_states: Sequence[str],
    reason: str | None,
    *,
    dry_run: bool,
) -> None:
    row = backfills.get(engine, backfill_id)
    if dry_run and row["state"] in from_states:
        say(f"Backfill {backfill_id} is {row['state']} and would be {state}. Nothing was done.")
        return
    row = backfilling.stop(engine, backfill_id, state, from_states, reason)
    say(
        f"Backfill {backfill_id} is {row['state']}: {row['finished']:,} of {row['records']:,} "
        f"records are finished, {row['leased_chunks']:,} chunks leased."
    )
