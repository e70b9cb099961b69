"""`once`: one cycle of every source, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from worker import bootstrap
from worker.bootstrap import Worker
from worker.cli import progress
from worker.cli.output import (
    WORDS,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    say,
    say_error,
    settings_for,
)
from worker.cli.sources import AnySource, configured, from_paths
from worker.cli.stopping import Stopper
from worker.cycle import cycle
from worker.errors import Exit, WorkerError
from worker.records import RunReport
from worker.settings import Settings
from worker.store import migrate

WORST_FIRST = (
    Exit.MISUSED,
    Exit.DATABASE_UNREACHABLE,
    Exit.FAILED,
    Exit.OVER_BUDGET,
    Exit.SOURCE_BUSY,
    Exit.DEGRADED,
    Exit.QUARANTINED,
    Exit.DONE,
)
"""Of several sources, the worst ending is the command's."""

_ONCE_EXAMPLES = (
    "Examples:  [bold]sentiment-worker once reviews.csv[/bold]   "
    "[bold]sentiment-worker once 'exports/*.jsonl.gz' --text body --timezone UTC[/bold]   "
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
    id: Annotated[str | None, typer.Option(help="PATH's column of ids.")] = None,
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
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Pull what is new, score it, store it, and end: one cycle, for cron and CronJobs.

    Exit codes: 0 done; 2 configuration; 3 database unreachable; 4 another run holds the source;
    5 some rows are in quarantine; 6 some records wait for the model; 130 and 143 signals.
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
    }
    if paths:
        sources: Sequence[AnySource] = from_paths(paths, name, layout)
    else:
        sources = configured(loaded.settings, source)
    results, code = run_all(loaded.settings, sources)
    if output is Output.JSON:
        print_json([_as_json(report) for report in results])
    raise typer.Exit(code)


def run_all(settings: Settings, sources: Sequence[AnySource]) -> tuple[list[RunReport], int]:
    with bootstrap.open_database(settings) as engine:
        migrate.require_current(engine)
        with bootstrap.open_lambda(settings) as target:

            async def running() -> tuple[list[RunReport], int]:
                async with bootstrap.open_worker(settings, engine, target) as worker:
                    return await _one_after_another(worker, sources)

            return asyncio.run(running())


async def _one_after_another(
    worker: Worker, sources: Sequence[AnySource]
) -> tuple[list[RunReport], int]:
    reports: list[RunReport] = []
    codes: list[int] = [Exit.DONE]
    stopper = Stopper(lambda: None)
    for config in sources:
        if stopper.signal:
            break
        try:
            report = await _run_one(worker, config, stopper)
        except WorkerError as error:
            say_error(error)
            codes.append(error.exit_code)
            continue
        reports.append(report)
        codes.append(report.exit_code)
        _tell(report)
    if stopper.signal:
        return reports, 128 + stopper.signal
    return reports, next(code for code in WORST_FIRST if code in codes)


async def _run_one(worker: Worker, config: AnySource, stopper: Stopper) -> RunReport:
    source = bootstrap.open_source(config)
    size = source.size() if WORDS.is_terminal else None
    with progress.bars(config.name, size) as observer:
        return await cycle(
            worker.parts,
            worker.ledger,
            name=config.name,
            kind=config.kind,
            source=source,
            trigger="once",
            observer=observer,
            on_start=stopper.watch,
        )


def _tell(report: RunReport) -> None:
    """The run in a few sentences, on stderr."""
    c = report.counters
    parts = [f"{c.read:,} read", f"{c.new:,} new"]
    optional = {
        "changed": c.changed,
        "unchanged": c.unchanged,
        "repeated": c.duplicate,
        "without text": c.skipped,
        "in quarantine": c.quarantined + c.dead,
    }
    parts += [f"{n:,} {what}" for what, n in optional.items() if n]
    scored = f"{c.scored:,} scored by the model in {c.invocations:,} calls"
    if c.provisional:
        scored += f", {c.provisional:,} provisionally by TextBlob"
    if c.undecided:
        scored += f", {c.undecided:,} that TextBlob cannot judge"
    say(f"{report.source}: {', '.join(parts)}; {scored}; {report.seconds:.1f} s.")
    if report.error:
        say(f"{report.error.rstrip('.')}.", style="yellow")
        if report.hint:
            say(report.hint)


def _as_json(report: RunReport) -> dict[str, Any]:
    return asdict(report) | {"exit_code": int(report.exit_code)}
