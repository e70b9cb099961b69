"""`serve`: every source on its schedule, until told to stop."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

import typer

from worker import bootstrap
from worker.bootstrap import Worker
from worker.cli import progress
from worker.cli.output import ConfigOption, VerboseOption, settings_for
from worker.cli.sources import AnySource, configured
from worker.cli.stopping import Stopper
from worker.cycle import cycle
from worker.errors import DatabaseUnavailable, SourceBusy
from worker.log import get_logger
from worker.schedule import Job, Timetable, trigger_of
from worker.settings import Settings
from worker.store import migrate

log = get_logger(__name__)

SERVE_PATIENCE = timedelta(seconds=5)

_SERVE_EXAMPLES = (
    "Example:  [bold]sentiment-worker serve --config /etc/sentiment-worker.toml[/bold]"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=_SERVE_EXAMPLES)(serve)


def serve(config: ConfigOption = None, verbose: VerboseOption = False) -> None:
    """Run every source on its schedule until told to stop (SIGTERM, Ctrl-C).

    Each source runs once at start; the durable cursor is the catch-up. Survives outages of the
    database and of the Lambda. Two processes never run the same source at once.
    """
    loaded = settings_for(config, verbose=verbose)
    sources = configured(loaded.settings, None)
    triggers = {s.name: trigger_of(s.schedule, s.every) for s in sources}
    # A tick that fails is followed by the next one; waiting longer would only delay a SIGTERM.
    patience = min(loaded.settings.database_patience, SERVE_PATIENCE)
    settings = loaded.settings.model_copy(update={"database_patience": patience})
    with bootstrap.open_database(settings) as engine, bootstrap.open_lambda(settings) as target:
        migrate.require_current(engine)

        async def serving() -> None:
            async with bootstrap.open_worker(settings, engine, target) as worker:
                timetable = Timetable()
                stopper = Stopper(timetable.stop)
                for source in sources:
                    turn = asyncio.Lock()  # a pull waits for the drain of its own source
                    pull = _reviving(settings, _job(worker, source, stopper, turn))
                    drain = _reviving(settings, _drain_job(worker, source, stopper, turn))
                    timetable.add(source.name, triggers[source.name], pull)
                    timetable.add_drain(source.name, drain)
                log.info("serve.started", sources=[s.name for s in sources])
                await timetable.run()
                log.info("serve.stopped")

        asyncio.run(serving())


def _reviving(settings: Settings, job: Job) -> Job:
    """An embedded database that died is started again; the next tick finds it."""

    async def reviving() -> None:
        try:
            await job()
        except DatabaseUnavailable:
            await asyncio.to_thread(bootstrap.revive_database, settings)
            raise

    return reviving


def _job(worker: Worker, config: AnySource, stopper: Stopper, turn: asyncio.Lock) -> Job:
    async def job() -> None:
        async with turn:
            if not stopper.signal:
                await _quiet_cycle(worker, config, stopper, pull=True)

    return job


def _drain_job(worker: Worker, config: AnySource, stopper: Stopper, turn: asyncio.Lock) -> Job:
    """Works off what came back between two runs; opens no run when there is nothing to do."""

    async def job() -> None:
        if stopper.signal or turn.locked():
            return
        loop = asyncio.get_running_loop()
        due = await asyncio.to_thread(_is_due, worker, config, loop.time())
        async with turn:
            if due and not stopper.signal:
                await _quiet_cycle(worker, config, stopper, pull=False)

    return job


def _is_due(worker: Worker, config: AnySource, now: float) -> bool:
    source_id = worker.ledger.source_id(config.name, config.kind)
    pending = worker.parts.journal.pending(source_id)
    active = pending.active_due_in_s is not None and pending.active_due_in_s <= 0
    parked = pending.parked_due_in_s is not None and pending.parked_due_in_s <= 0
    overdue = pending.overdue_in_s is not None and pending.overdue_in_s <= 0
    return active or overdue or (parked and worker.parts.fanout.circuit.probe_due(now))


async def _quiet_cycle(worker: Worker, config: AnySource, stopper: Stopper, *, pull: bool) -> None:
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
    finally:
        # The command lets the collector rest (`cli._tune_interpreter`); a run's tasks and reflected
        # tables are cycles, and a process that lives for months would keep each run's.
        gc.collect()
