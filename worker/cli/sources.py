"""`sources`: what is held of a source, and taking a mistaken one away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from worker import bootstrap, words
from worker.cli.look import reading_from
from worker.cli.onboarding import try_
from worker.cli.output import (
    DATA,
    WORDS,
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
from worker.cli.running import scan_once
from worker.cli.which import configured
from worker.errors import ConfigurationError
from worker.sources import kinds
from worker.store import reading
from worker.store.ledger import removal

app = typer.Typer(
    help="Which kinds of sources there are; what is held of one, and taking it away.",
    no_args_is_help=True,
)


@app.command("kinds", epilog="Example:  [bold]sentiment-worker sources kinds[/bold]")
def kinds_(output: OutputOption = Output.TABLE) -> None:
    """List the kinds of sources that are installed, and the keys that a source of each may have.

    docs/operations.md says what each key means. Another package adds a kind under the entry point
    group sentiment_worker.sources.
    """
    rows = [_described(name) for name in kinds.names()]
    if output is Output.JSON:
        print_json(rows)
        return
    for row in rows:
        DATA.print(f"{row['kind']}: {row['reads']} ({row['package']})", markup=False)
        DATA.print(f"    {', '.join(row['keys'])}", markup=False)


_TRY_EXAMPLES = (
    "Examples:  [bold]sentiment-worker sources try reviews.csv[/bold]\n\n"
    "[bold]sentiment-worker sources try https://forum.example.com/latest.rss[/bold]\n\n"
    "[bold]sentiment-worker sources try sqlite:///app.db --table review --text body[/bold]"
)

app.command("try", epilog=_TRY_EXAMPLES)(try_)


def _described(name: str) -> dict[str, Any]:
    try:
        kind = kinds.find(name)
    except ConfigurationError as error:
        return {"kind": name, "reads": str(error), "package": kinds.origin(name), "keys": []}
    keys = [key for key in kind.config.setting_names() if key not in ("kind", "name")]
    return {"kind": name, "reads": kind.about, "package": kinds.origin(name), "keys": keys}


@app.command(
    epilog="Example:  [bold]sentiment-worker sources remove tweets --dry-run[/bold], then "
    "[bold]sentiment-worker sources remove tweets[/bold]"
)
def remove(
    name: Annotated[str, typer.Argument(help="The source, as `status` names it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Delete a source with all that is held of it: records, scores, corrections, quarantine, runs,
    cursors. It cannot be undone; what calls have cost stays in `cost report`.

    Shows what there is and asks first. Exit code 4 while a run or a backfill holds the source.
    Needs the rights of the tables' owner.
    """
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose, source=name) as engine:
        held = removal.held(engine, reading.source_id(engine, name))
        if output is Output.TABLE:
            print_rows([{"source": name, **held}], ("source", *held), output)
        if dry_run:
            _told(name, held, output, removed=False)
            return
        if not yes:
            _ask(name)
        with bootstrap.held_source(settings, engine, name) as source_id:
            bar = Progress(
                TextColumn("deleting"), BarColumn(), TextColumn("{task.completed:,.0f} records"),
                console=WORDS, disable=not WORDS.is_terminal,
            )  # fmt: skip
            with bar:
                task = bar.add_task("", total=held["records"])
                removal.remove(engine, source_id, lambda count: bar.advance(task, count))
    _told(name, held, output, removed=True)
    say(f"{name!r} is gone, with {held['records']:,} records.")
    if name in (source.name for source in settings.source):
        say("It is still configured: the next run reads it again, from its beginning.")


@app.command(epilog="Example:  [bold]sentiment-worker sources scan reviews[/bold]")
def scan(
    name: Annotated[str, typer.Argument(help="The source, as the configuration names it.")],
    at_most: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of all records that may be gone at once. Default: `deletes_most`.",
        ),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Find records whose rows were deleted at the source, and mark them as gone.

    For a source of kind sql. They leave the views and counts of current records (`sql 'SELECT *
    FROM analytics.gone'` lists them); those whose rows are there again come back. `deletes =
    "scan"` in the configuration lets `serve` do it each day.
    """
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    (source,) = configured(settings, [name])
    report = scan_once(settings, source, at_most)
    if output is Output.JSON:
        print_json(asdict(report) | {"exit_code": int(report.exit_code)})
    if report.error:
        say(f"{report.error.removesuffix('.')}.", style="yellow")
        if report.hint:
            say(report.hint)
    else:
        marked = words.many(report.counters.changed, "record was", "records were")
        there = f"{report.counters.read - report.counters.changed:,}"
        say(f"{marked} marked as gone or as back; {there} are as they were.")
    raise typer.Exit(report.exit_code)


def _told(name: str, held: Mapping[str, int], output: Output, *, removed: bool) -> None:
    if output is Output.JSON:
        print_json({"source": name, "removed": removed, **held})


def _ask(name: str) -> None:
    """Raises ConfigurationError where there is nobody to ask."""
    if not WORDS.is_terminal:
        raise ConfigurationError(
            f"{name!r} would be deleted for good, and there is no terminal to ask on.",
            hint="Add --yes to do it.",
        )
    typer.confirm(f"Delete all of {name!r} for good?", abort=True, err=True)
