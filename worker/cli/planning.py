"""Planning, shared by `backfill plan` and `rescore plan`: what it would be, and keeping it."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer
from sqlalchemy import Engine

from worker import cost
from worker.cli import progress
from worker.cli.output import DATA, Output, print_json, say
from worker.errors import Exit
from worker.operate.who import operator
from worker.scoring.target import expected_concurrency
from worker.selection import ChunkSizes, Only, Plan, Selection
from worker.settings import Settings
from worker.store.ledger import plans, spending

SinceOption = Annotated[
    str | None, typer.Option(help="Published (else arrived) from this time on: 2026-01-01, or 30d.")
]
UntilOption = Annotated[str | None, typer.Option(help="Before this time.")]
VersionOption = Annotated[
    str | None,
    typer.Option(help="The model version that is wanted; `apply` asks the function for it first."),
]
MaxCostOption = Annotated[
    float | None,
    typer.Option(
        min=1e-9,
        max=1e9,
        help="US dollars. A plan that costs more is refused; the backfill stops at this amount.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def make_plan(
    settings: Settings,
    engine: Engine,
    selection: Selection,
    max_cost: float | None,
    output: Output,
    *,
    dry_run: bool,
) -> int:
    """Plan, print, and keep the plan unless it is too dear; the exit code."""
    pace = spending.pace(engine, selection.source)
    estimated = partial(
        cost.estimate,
        pace=pace,
        prices=settings.prices,
        concurrency=expected_concurrency(settings),
    )
    # What failed goes alone: a culprit in company would take its neighbours' calls with it.
    texts = 1 if selection.only is Only.FAILED else settings.chunk_texts
    with progress.counting("planning") as told:
        backfill_id, found = plans.plan(
            engine,
            selection,
            estimated,
            by=operator(),
            max_cost=max_cost,
            store=not dry_run,
            sizes=ChunkSizes(texts, settings.chunk_bytes),
            told=told,
        )
    _print_plan(backfill_id, selection, found, pace, settings.prices, output)
    if not found.records:
        say("No record matches; no plan was saved.")
    if found.is_too_dear(max_cost):
        say(f"That is more than --max-cost {max_cost}; no plan was saved.", style="yellow")
        return Exit.OVER_BUDGET
    if backfill_id is not None:
        say(f"Apply it: sentiment-worker backfill apply {backfill_id}")
    return Exit.DONE


def _print_plan(
    backfill_id: int | None,
    selection: Selection,
    plan: Plan,
    pace: cost.Pace,
    prices: cost.Prices,
    output: Output,
) -> None:
    flat = {
        "id": backfill_id,
        **selection.as_json(),
        **{k: v for k, v in asdict(plan).items() if k != "estimate"},
        **asdict(plan.estimate),
        "overwritten": 0,
    }
    if output is Output.JSON:
        print_json(flat | {"pace_texts": pace.measured_on, "prices_read_on": prices.read_on})
        return
    e = plan.estimate
    measured = f"measured on {pace.measured_on:,} texts" if pace.measured_on else "not measured yet"
    rows = {
        "records": f"{plan.records:,}",
        "texts to send": f"{plan.distinct_texts:,}",
        "chunks": f"{plan.chunks:,} in {plan.windows:,} windows",
        "already scored": f"{plan.already_scored:,} by "
        + (f"version {selection.target_version}" if selection.target_version else "a model"),
        "overwritten": "nothing: every old score stays",
        "invocations": f"{e.invocations:,}",
        "GB-seconds": f"{e.gb_seconds:,.1f} ({measured})",
        "cost": f"{e.cost_usd:.4f} USD, at prices read on {prices.read_on}",
        "duration": f"{progress.spoken(e.duration_s)} at the present concurrency",
    }
    for name, value in rows.items():
        DATA.print(f"{name:16}{value}", markup=False, soft_wrap=True)
    if plan.already_scored and selection.only is Only.ALL and not selection.target_version:
        say(
            f"{plan.already_scored:,} of them have a model's score: sending them again costs, and"
            " changes nothing unless the function's model is another one now. Leave them out with"
            " --only missing.",
            style="yellow",
        )
