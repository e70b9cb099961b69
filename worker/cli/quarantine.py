"""`quarantine`: what was refused, and trying it again."""

from __future__ import annotations

from collections.abc import Sequence
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
    say_error,
    settings_for,
)
from worker.cli.running import run_all
from worker.errors import ConfigurationError, Exit
from worker.log import printable
from worker.operate.redrive import again
from worker.operate.turns import Turn
from worker.settings import Settings
from worker.states import Trigger
from worker.store import reading
from worker.store.analytics.scores import Row

app = typer.Typer(
    help="Rows that could not be read, and records that the model could not score.",
    no_args_is_help=True,
)


@app.command(
    "list", epilog="Example:  [bold]sentiment-worker quarantine list --source reviews[/bold]"
)
def list_(
    config: ConfigOption = None,
    source: SourceOption = None,
    limit: LimitOption = 50,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """What was refused, where it stands, and why."""
    columns = ("id", "source", "stage", "offset", "reason", "partition", "created_at")
    with reading_from(config, verbose=verbose, source=source) as engine:
        found = reading.quarantine(engine, source=source, limit=limit)
        if not print_rows(found, columns, output):
            say("Quarantine is empty.")


@app.command("show", epilog="Example:  [bold]sentiment-worker quarantine show 17[/bold]")
def show(
    row: Annotated[int, typer.Argument(max=2**63 - 1, help="The id that `quarantine list` shows.")],
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """One refusal whole, with the first 4 KB of the row as it came."""
    with reading_from(config, verbose=verbose) as engine:
        found = reading.quarantined_row(engine, row)
    if found is None:
        raise ConfigurationError(
            f"Quarantine has no row {row}.", hint="See: sentiment-worker quarantine list"
        )
    if output is Output.JSON:
        print_json(found)
        return
    for name in ("source", "stage", "partition", "offset", "reason", "created_at"):
        DATA.print(f"{name}: {printable(str(found[name]))}", markup=False, soft_wrap=True)
    DATA.print(printable(bytes(found["raw"]).decode("utf-8", "replace")), markup=False)


_REDRIVE_EXAMPLES = (
    "Examples:  [bold]sentiment-worker quarantine redrive 17 18[/bold],   "
    "[bold]sentiment-worker quarantine redrive --all --dry-run[/bold]"
)


@app.command("redrive", epilog=_REDRIVE_EXAMPLES)
def redrive(
    rows: Annotated[
        list[int] | None,
        typer.Argument(max=2**63 - 1, help="The ids that `quarantine list` shows."),
    ] = None,
    config: ConfigOption = None,
    source: SourceOption = None,
    every: Annotated[bool, typer.Option("--all", help="Everything in quarantine.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Try again what was refused, once its cause is repaired.

    A record that the model could not score is sent anew, alone. A row that could not be read is
    read anew with the whole file or table that it stands in; what is unchanged is not scored
    again. What succeeds leaves quarantine. Exit codes: as `once`; 5 if something remains.
    """
    loaded = settings_for(config, verbose=verbose, quiet=True)
    with reading_from(config, verbose=verbose, source=source) as engine:
        chosen = reading.redrivable(
            engine, ids=rows or (None if source or every else ()), source=source
        )
    if not chosen:
        raise ConfigurationError(
            "No row was chosen." if not rows else "Quarantine has none of these rows.",
            hint="Name ids, --source or --all; see: sentiment-worker quarantine list",
        )
    turns = _turns(loaded.settings, chosen)
    if dry_run:
        print_rows(chosen, ("id", "source", "stage", "partition", "offset"), output)
        return
    _, code = run_all(loaded.settings, turns)
    with reading_from(config, verbose=verbose) as engine:
        left = reading.redrivable(engine, ids=[row["id"] for row in chosen], source=None)
    if output is Output.JSON:
        print_json({"tried": [row["id"] for row in chosen], "left": [row["id"] for row in left]})
    say(f"{len(chosen) - len(left):,} of {len(chosen):,} rows are out of quarantine.")
    raise typer.Exit(Exit.QUARANTINED if left and code == Exit.DONE else code)


def _turns(settings: Settings, chosen: Sequence[Row]) -> list[Turn]:
    """One run for each source that a chosen row belongs to; of one that is not configured only
    records are scored anew. Raises ConfigurationError if there is nothing to run."""
    by_source: dict[tuple[str, str], list[Row]] = {}
    for row in chosen:
        by_source.setdefault((row["source"], row["kind"]), []).append(row)
    configured = {source.name: source for source in settings.source}
    turns: list[Turn] = []
    unreadable: list[str] = []
    for (name, kind), rows in by_source.items():
        wanted = again(rows, is_configured=name in configured)
        if wanted.unread:
            unreadable.append(name)
        if not wanted.is_empty:
            config = configured.get(name) if wanted.redrive.partitions else None
            turns.append(Turn(name, kind, config, Trigger.REDRIVE, wanted.redrive))
    if unreadable:
        problem = ConfigurationError(
            f"Not in the configuration, so not read anew: {', '.join(unreadable)}.",
            hint="Repair the file and run `sentiment-worker once PATH` again: a file that "
            "changed is read whole, and what is repaired leaves quarantine. Where a reason asks "
            "for an option (--id, --text, --timezone), run it with that.",
        )
        if not turns:
            raise problem
        say_error(problem)
    return turns
