"""`once` and `serve`: the two commands that move records."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from worker import bootstrap
from worker.bootstrap import Worker
from worker.clean import storable
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
from worker.cycle import cycle
from worker.errors import ConfigurationError, Exit, SourceBusy, WorkerError
from worker.log import get_logger
from worker.pipeline import Run
from worker.records import RunReport
from worker.schedule import Timetable, trigger_of
from worker.settings import FileSourceConfig, Settings, SqlSourceConfig
from worker.store import migrate

log = get_logger(__name__)

AnySource = FileSourceConfig | SqlSourceConfig

SERVE_PATIENCE = timedelta(seconds=5)

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


def register(app: typer.Typer) -> None:
    app.command(epilog=_ONCE_EXAMPLES)(once)
    app.command(epilog=_SERVE_EXAMPLES)(serve)


_ONCE_EXAMPLES = (
    "Examples:  [bold]sentiment-worker once reviews.csv[/bold]   "
    "[bold]sentiment-worker once 'exports/*.jsonl.gz' --text body --timezone UTC[/bold]   "
    "[bold]sentiment-worker once --config /etc/sentiment-worker.toml --source reviews[/bold]"
)
_SERVE_EXAMPLES = (
    "Example:  [bold]sentiment-worker serve --config /etc/sentiment-worker.toml[/bold]"
)


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
        sources: Sequence[AnySource] = _ad_hoc_sources(paths, name, layout)
    else:
        sources = _configured(loaded.settings, source)
    results, code = run_all(loaded.settings, sources)
    if output is Output.JSON:
        print_json([_as_json(report) for report in results])
    raise typer.Exit(code)


def serve(config: ConfigOption = None, verbose: VerboseOption = False) -> None:
    """Run every source on its schedule until told to stop (SIGTERM, Ctrl-C).

    Each source runs once at start; the durable cursor is the catch-up. Survives outages of the
    database and of the Lambda. Two processes never run the same source at once.
    """
    loaded = settings_for(config, verbose=verbose)
    sources = _configured(loaded.settings, None)
    triggers = {s.name: trigger_of(s.schedule, s.every) for s in sources}
    # A tick that fails is followed by the next one; waiting longer would only delay a SIGTERM.
    patience = min(loaded.settings.database_patience, SERVE_PATIENCE)
    settings = loaded.settings.model_copy(update={"database_patience": patience})
    with bootstrap.open_database(settings) as engine, bootstrap.open_lambda(settings) as target:
        migrate.require_current(engine)

        async def serving() -> int:
            async with bootstrap.open_worker(settings, engine, target) as worker:
                timetable = Timetable()
                stopper = _Stopper(timetable.stop)
                for source in sources:
                    timetable.add(source.name, triggers[source.name], _job(worker, source, stopper))
                    timetable.add_drain(source.name, _drain_job(worker, source, stopper))
                log.info("serve.started", sources=[s.name for s in sources])
                await timetable.run()
                log.info("serve.stopped")
                return Exit.DONE

        asyncio.run(serving())


# -- once ----------------------------------------------------------------------------------


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
    stopper = _Stopper(lambda: None)
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


async def _run_one(worker: Worker, config: AnySource, stopper: _Stopper) -> RunReport:
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


def _ad_hoc_sources(
    paths: Sequence[str], name: str | None, layout: dict[str, Any]
) -> list[FileSourceConfig]:
    """A source for each path on the command line, or one named `name` for all of them."""
    if name:
        return [_ad_hoc(name, tuple(paths), layout)]
    stems = [storable(path.rstrip("/").rsplit("/", 1)[-1].split(".", 1)[0]) for path in paths]
    doubled = sorted({stem for stem in stems if stems.count(stem) > 1})
    if doubled:
        raise ConfigurationError(
            f"Two paths would be one source named {doubled[0]!r}, and their ids one space.",
            hint="If they are one source, give it a name: --name reviews; else run them apart.",
        )
    return [
        _ad_hoc(stem.strip("*") or "files", (path,), layout)
        for stem, path in zip(stems, paths, strict=True)
    ]


def _ad_hoc(name: str, paths: tuple[str, ...], layout: dict[str, Any]) -> FileSourceConfig:
    try:
        return FileSourceConfig(kind="file", name=name, path=paths, **layout)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-") if first["loc"] else "option"
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"--{option}: {message}.") from None


def _configured(settings: Settings, names: Sequence[str] | None) -> Sequence[AnySource]:
    known = {source.name: source for source in settings.source}
    if not known:
        raise ConfigurationError(
            "No source is configured.",
            hint="Name files: sentiment-worker once reviews.csv; or write [[source]] tables "
            "into sentiment-worker.toml (see `sentiment-worker config show`).",
        )
    missing = [name for name in names or () if name not in known]
    if missing:
        raise ConfigurationError(
            f"No source is named {missing[0]!r}.", hint=f"There are: {', '.join(known)}."
        )
    return [known[name] for name in names] if names else list(known.values())


def _as_json(report: RunReport) -> dict[str, Any]:
    return asdict(report) | {"exit_code": int(report.exit_code)}


# -- serve ---------------------------------------------------------------------------------


def _job(worker: Worker, config: AnySource, stopper: _Stopper) -> Callable[[], Any]:
    async def job() -> None:
        if not stopper.signal:
            await _quiet_cycle(worker, config, stopper, pull=True)

    return job


def _drain_job(worker: Worker, config: AnySource, stopper: _Stopper) -> Callable[[], Any]:
    """Works off what came back between two runs; opens no run when there is nothing to do."""

    async def job() -> None:
        if stopper.signal:
            return
        loop = asyncio.get_running_loop()
        due = await asyncio.to_thread(_is_due, worker, config, loop.time())
        if due:
            await _quiet_cycle(worker, config, stopper, pull=False)

    return job


def _is_due(worker: Worker, config: AnySource, now: float) -> bool:
    source_id = worker.ledger.source_id(config.name, config.kind)
    pending = worker.parts.journal.pending(source_id)
    active = pending.active_due_in_s is not None and pending.active_due_in_s <= 0
    parked = pending.parked_due_in_s is not None and pending.parked_due_in_s <= 0
    overdue = pending.overdue_in_s is not None and pending.overdue_in_s <= 0
    return active or overdue or (parked and worker.parts.fanout.circuit.probe_due(now))


async def _quiet_cycle(worker: Worker, config: AnySource, stopper: _Stopper, *, pull: bool) -> None:
    try:
        await cycle(
            worker.parts,
            worker.ledger,
            name=config.name,
            kind=config.kind,
            source=bootstrap.open_source(config) if pull else None,
            trigger="schedule" if pull else "drain",
            observer=progress.Silent(),
            on_start=stopper.watch,
        )
    except SourceBusy as error:
        log.debug("source.busy", source=config.name, error=str(error))


class _Stopper:
    """The first signal asks runs to stop, the second ends the process at once."""

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self.signal = 0
        self._on_stop = on_stop
        self._runs: list[Run] = []
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received, number)

    def watch(self, run: Run) -> None:
        self._runs = [*self._runs[-32:], run]
        if self.signal:
            run.stop()

    def _received(self, number: int) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number
        log.info("stopping", signal=signal.Signals(number).name, advice="again to end at once")
        self._on_stop()
        for run in self._runs:
            run.stop()
