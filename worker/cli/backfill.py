"""`backfill`: planned to the last chunk, priced before it starts, stoppable at any moment."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.backfill_run import SHOWN, followed, go, stop
from worker.cli.look import LimitOption, period, reading_from
from worker.cli.output import (
    DATA,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    print_rows,
    say,
    settings_for,
)
from worker.cli.planning import (
    DryRunOption,
    MaxCostOption,
    SinceOption,
    UntilOption,
    VersionOption,
    make_plan,
)
from worker.errors import ConfigurationError
from worker.operate import backfilling
from worker.selection import Only, Selection
from worker.states import BackfillState
from worker.store.ledger import backfills, plans

app = typer.Typer(
    help="Score again what is stored: planned, priced, stoppable. The schedule goes on beside it.",
    no_args_is_help=True,
)

IdArgument = Annotated[
    int, typer.Argument(max=2**63 - 1, help="The id that `backfill plan` printed.")
]
_PLAN_EXAMPLES = (
    "Examples:  [bold]sentiment-worker backfill plan --source reviews --since 2026-01-01 "
    "--until 2026-02-01 --max-cost 0.50[/bold]\n\n"
    "[bold]sentiment-worker backfill plan --source reviews --only provisional[/bold]"
)


@app.command(epilog=_PLAN_EXAMPLES)
def plan(
    source: Annotated[str, typer.Option("--source", "-s", help="Whose records.")],
    since: SinceOption = None,
    until: UntilOption = None,
    only: Annotated[
        Only,
        typer.Option(
            help="failed: in quarantine; provisional: TextBlob's alone; missing: without a score "
            "by the wanted model version."
        ),
    ] = Only.ALL,
    model_version: VersionOption = None,
    max_cost: MaxCostOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, max=2**31, help="At most.")
    ] = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Say exactly what would be scored again, what it costs and how long it takes; keep the plan.

    Nothing is sent. Exit code 7 if it would cost more than --max-cost.
    """
    start, end = period(since, until)
    selection = Selection(
        source=source,
        since=start,
        until=end,
        only=only,
        target_version=model_version,
        limit=limit,
    )
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose, source=source) as engine:
        code = make_plan(settings, engine, selection, max_cost, output, dry_run=dry_run)
    raise typer.Exit(code)


@app.command(epilog="Example:  [bold]sentiment-worker backfill apply 3[/bold]")
def apply(
    backfill_id: IdArgument,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave the work to a running `serve`.")
    ] = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Do exactly what was planned; refuse if the world has moved since, and say what moved.

    Ctrl-C, or a kill, loses nothing: `backfill resume` goes on where it stood. Exit codes as
    `once`; 7 if --max-cost or a budget is spent.
    """
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose) as engine:
        row = backfills.get(engine, backfill_id)
        if row["state"] != BackfillState.PLANNED:
            raise ConfigurationError(
                f"Backfill {backfill_id} is {row['state']}; a backfill can be applied only once.",
                hint=f"Go on with: sentiment-worker backfill resume {backfill_id}"
                if row["state"] in (BackfillState.RUNNING, BackfillState.PAUSED)
                else "Plan it anew: sentiment-worker backfill plan",
            )
        selection = Selection.from_json(row["selection"])
        if moved := plans.drift(engine, backfill_id, selection):
            raise ConfigurationError(
                f"Things have changed since backfill {backfill_id} was planned: "
                f"{', '.join(moved)}.",
                hint="Nothing was done. Plan it anew: sentiment-worker backfill plan",
            )
        if dry_run:
            say(f"Backfill {backfill_id} is as it was planned. Nothing was done.")
            return
    raise typer.Exit(go(settings, backfill_id, (BackfillState.PLANNED,), output, detach=detach))


@app.command(epilog="Example:  [bold]sentiment-worker backfill resume 3[/bold]")
def resume(
    backfill_id: IdArgument,
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave the work to a running `serve`.")
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option(min=1e-9, max=1e9, help="US dollars, in place of what the plan allowed."),
    ] = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Go on with a backfill that was paused, or whose process ended."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose) as engine:
        row = backfills.get(engine, backfill_id)
    if row["state"] not in (BackfillState.PAUSED, BackfillState.RUNNING):
        raise ConfigurationError(
            f"Backfill {backfill_id} is {row['state']}: there is nothing to resume.",
            hint="See: sentiment-worker backfill status",
        )
    if dry_run:
        say(f"{row['records'] - row['finished']:,} records are left. Nothing was done.")
        return
    if max_cost is not None:
        with reading_from(config, verbose=verbose) as engine:
            backfills.set_max_cost(engine, backfill_id, max_cost)
    states = (BackfillState.PAUSED, BackfillState.RUNNING)
    raise typer.Exit(go(settings, backfill_id, states, output, detach=detach))


@app.command(epilog="Example:  [bold]sentiment-worker backfill status 3 --follow[/bold]")
def status(
    backfill_id: Annotated[
        int | None, typer.Argument(max=2**63 - 1, help="Only this one, whole.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until it ends.")] = False,
    limit: LimitOption = 20,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """How far backfills are, what they have cost, and how long the rest takes."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose) as engine:
        if backfill_id is None:
            rows = [
                backfilling.with_cost(r, settings.prices)
                for r in backfills.listed(engine, limit=limit)
            ]
            columns = ("id", "source", "state", "finished", "records", "cost_usd", "changed_at")
            if not print_rows(rows, (*columns, "reason"), output):
                say("No backfill was planned yet. See: sentiment-worker backfill plan --help")
            return
        row = backfilling.with_cost(backfills.get(engine, backfill_id), settings.prices)
        if follow:
            row = followed(engine, row, settings.prices)
    if output is Output.JSON:
        print_json(row)
        return
    for name in SHOWN:
        if row[name] is not None:
            DATA.print(f"{name.replace('_', ' '):20}{row[name]}", markup=False, soft_wrap=True)


@app.command(epilog="Example:  [bold]sentiment-worker backfill pause 3 --reason 'a release'[/bold]")
def pause(
    backfill_id: IdArgument,
    reason: Annotated[str | None, typer.Option(help="Why, for whoever looks at it.")] = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Stop it within seconds, with nothing leased; `resume` goes on where it stood."""
    with reading_from(config, verbose=verbose) as engine:
        stop(
            engine,
            backfill_id,
            BackfillState.PAUSED,
            (BackfillState.RUNNING,),
            reason,
            dry_run=dry_run,
        )


@app.command(epilog="Example:  [bold]sentiment-worker backfill cancel 3[/bold]")
def cancel(
    backfill_id: IdArgument,
    reason: Annotated[str | None, typer.Option(help="Why, for whoever looks at it.")] = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """End it for good. What it has scored stays, what waits is dropped; nothing is leased."""
    with reading_from(config, verbose=verbose) as engine:
        stop(
            engine,
            backfill_id,
            BackfillState.CANCELLED,
            backfills.CANCELLABLE,
            reason,
            dry_run=dry_run,
        )
