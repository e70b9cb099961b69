"""`runs`: the ledger, one run whole, and doing again what a run left."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.look import LimitOption, SourceOption, reading_from
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
from worker.cli.planning import DryRunOption
from worker.cli.running import run_all
from worker.errors import ConfigurationError, Exit
from worker.operate.redrive import again
from worker.operate.turns import Turn
from worker.states import BackfillState, RunState, Trigger
from worker.store import reading
from worker.store.ledger import backfills

app = typer.Typer(help="The ledger of runs.", invoke_without_command=True)

WENT_WELL = (RunState.DONE, RunState.RUNNING, RunState.MISSED)

_COLUMNS = (
    *("id", "source", "trigger", "state", "started_at", "duration", "read", "scored"),
    *("provisional", "quarantined", "error"),
)


@app.callback(
    epilog="Examples:  [bold]sentiment-worker runs --source reviews -n 5[/bold]\n\n"
    "[bold]sentiment-worker runs show 17[/bold]"
)
def runs(
    context: typer.Context,
    config: ConfigOption = None,
    source: SourceOption = None,
    limit: LimitOption = 20,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """The newest runs first; `runs show` prints one whole, `runs retry` does its rest again."""
    if context.invoked_subcommand is None:
        list_(config, source, limit, output, verbose)


@app.command("list", epilog="Example:  [bold]sentiment-worker runs list --source reviews[/bold]")
def list_(
    config: ConfigOption = None,
    source: SourceOption = None,
    limit: LimitOption = 20,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """The newest runs first."""
    with reading_from(config, verbose=verbose, source=source) as engine:
        found = reading.runs(engine, source=source, limit=limit)
        if not print_rows(found, _COLUMNS, output):
            say("There was no run yet.")


@app.command("show", epilog="Example:  [bold]sentiment-worker runs show 17[/bold]")
def show(
    run_id: Annotated[int, typer.Argument(max=2**63 - 1, help="The id that `runs` shows.")],
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """One run whole: every counter, what went wrong, what it put in quarantine."""
    with reading_from(config, verbose=verbose) as engine:
        found = reading.run(engine, run_id)
        refused = reading.redrivable(engine, ids=None, source=None, run_id=run_id)
    if output is Output.JSON:
        print_json(dict(found) | {"quarantine": refused})
        return
    for name, value in found.items():
        if value not in (None, 0):
            DATA.print(f"{name.replace('_', ' '):16}{value}", markup=False, soft_wrap=True)
    if refused:
        print_rows(refused, ("id", "stage", "partition", "offset"), output)


@app.command("retry", epilog="Example:  [bold]sentiment-worker runs retry 17[/bold]")
def retry(
    run_id: Annotated[int, typer.Argument(max=2**63 - 1, help="The id that `runs` shows.")],
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Do again only what a run left: its quarantine, what waits, what it did not read.

    What went well is not sent again. Exit codes: as `once`.
    """
    loaded = settings_for(config, verbose=verbose, quiet=True)
    with reading_from(config, verbose=verbose) as engine:
        found = reading.run(engine, run_id)
        rows = reading.redrivable(engine, ids=None, source=None, run_id=run_id)
        backfill = found["backfill_id"]
        state = backfill and backfills.state_of(engine, backfill)
    if backfill is not None:
        command = (
            f"resume {backfill}"
            if state in (BackfillState.RUNNING, BackfillState.PAUSED)
            else "plan --help"
        )
        raise ConfigurationError(
            f"Run {run_id} belongs to backfill {backfill}, which is {state}.",
            hint=f"sentiment-worker backfill {command}",
        )
    if found["state"] in WENT_WELL and not rows:
        say(f"Run {run_id} is {found['state']}; there is nothing to do again.")
        return
    configured = {source.name: source for source in loaded.settings.source}.get(found["source"])
    wanted = again(rows, is_configured=configured is not None)
    if wanted.unread:
        say(
            f"The source {found['source']!r} is not configured, so its {wanted.unread:,} rows stay"
            " in quarantine: give its file again, with `once`.",
            style="yellow",
        )
    if dry_run:
        reads = "reads the source on, " if configured else ""
        count = len(rows) - wanted.unread
        say(f"{reads}tries {count:,} rows of quarantine again, and what waits for the model.")
        return
    kind = configured.kind if configured else "file"
    turn = Turn(found["source"], kind, configured, Trigger.RETRY, wanted.redrive)
    _, code = run_all(loaded.settings, [turn])
    raise typer.Exit(code or (Exit.QUARANTINED if wanted.unread else Exit.DONE))
