"""`once`: one cycle of every source, and the end."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from worker.cli.output import (
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    settings_for,
)
from worker.cli.running import run_all
from worker.cli.which import configured, from_paths
from worker.operate.turns import Turn
from worker.settings import Settings
from worker.sources import file
from worker.sources.file import FileSourceConfig
from worker.sources.kinds import Opening
from worker.states import RunReport, Trigger

_ONCE_EXAMPLES = (
    "Examples:  [bold]sentiment-worker once reviews.csv[/bold]\n\n"
    "[bold]sentiment-worker once 'exports/*.jsonl.gz' --text body --timezone UTC[/bold]\n\n"
    "[bold]sentiment-worker once --config /etc/sentiment-worker.toml --source reviews[/bold]"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=_ONCE_EXAMPLES)(once)


def once(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Files, globs, folders or s3:// places. Without one: the configured sources.",
        ),
    ] = None,
    config: ConfigOption = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", "-s", help="Only this configured source.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call PATH as a source. Default: the file's name.")
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(
            help="PATH's column of ids. `content`: equal rows are one record; `row`: each is one."
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(help="PATH's column of texts.")] = None,
    time: Annotated[str | None, typer.Option(help="PATH's column of times.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of PATH's times that have none: UTC, Europe/Berlin.")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="Format of PATH's times: '%m/%d/%Y %H:%M'.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A column of PATH to keep with each record.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of PATH.")] = "utf-8-sig",
    delimiter: Annotated[
        str | None, typer.Option(help="Column delimiter of PATH. Default: a comma; for .tsv a tab.")
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(help="Sheet of an .xlsx PATH. Default: its first one.")
    ] = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Pull what is new, score it, store it, and end: one cycle, for cron and CronJobs.

    Exit codes: 0 done; 1 failed (a source cannot be read); 2 configuration; 3 database
    unreachable; 4 another run holds the source; 5 this run put rows in quarantine; 6 some records
    wait for the model; 7 a budget is spent; 130 and 143 signals.
    """
    loaded = settings_for(config, verbose=verbose, quiet=True)
    layout: dict[str, Any] = {
        "id": id,
        "text": text,
        "time": time,
        "timezone": timezone,
        "time_format": time_format,
        "tags": tuple(tag or ()),
        "encoding": encoding,
        "delimiter": delimiter,
        "sheet": sheet,
    }
    if paths:
        turns = [
            _ad_hoc(each, loaded.settings, is_named=name is not None)
            for each in from_paths(paths, name, layout)
        ]
    else:
        sources = configured(loaded.settings, source)
        turns = [Turn(each.name, each.kind, each, Trigger.ONCE) for each in sources]
    results, code = run_all(loaded.settings, turns)
    if output is Output.JSON:
        print_json([_as_json(report) for report in results])
    raise typer.Exit(code)


def _ad_hoc(config: FileSourceConfig, settings: Settings, *, is_named: bool) -> Turn:
    """Files of the command line. Raises ConfigurationError where there are none: a mistyped path
    leaves no source behind."""
    files = file.open_source(config, Opening(settings.access))
    files.require_found()
    check = None if is_named else files.require_alike
    return Turn(config.name, config.kind, config, Trigger.ONCE, check=check)


def _as_json(report: RunReport) -> dict[str, Any]:
    return asdict(report) | {"exit_code": int(report.exit_code)}
