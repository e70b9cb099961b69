"""`serve`: every source on its schedule, until told to stop."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import typer

from worker import bootstrap
from worker.cli.output import STRAY_KEYS, ConfigOption, VerboseOption, settings_for
from worker.cli.running import has_stray_keys
from worker.cli.which import configured
from worker.insight import drift
from worker.log import get_logger
from worker.operate.serving import timetable_of
from worker.scoring.target import scorer_named
from worker.store import migrate
from worker.store.ledger import spending
from worker.web.health import Pulse

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
    # A tick that fails is followed by the next one; waiting longer would only delay a SIGTERM.
    patience = min(loaded.settings.database_patience, SERVE_PATIENCE)
    settings = loaded.settings.model_copy(update={"database_patience": patience})
    with bootstrap.open_database(settings) as engine, bootstrap.open_lambda(settings) as target:
        migrate.wait_until_current(engine, patience_s=loaded.settings.database_patience_s)
        if has_stray_keys(settings):
            log.warning("aws.stray_keys", advice=STRAY_KEYS)
        names = [source.name for source in sources]
        for source, count in (spending.by_choice(engine, names) if target else {}).items():
            advice = f"sentiment-worker rescore plan --source {source} --scorer textblob"
            log.warning("textblob.by_choice", source=source, records=count, advice=advice)

        async def serving() -> None:
            async with bootstrap.open_worker(settings, engine, target) as worker:
                revive = partial(bootstrap.revive_database, settings)
                timetable = timetable_of(worker, settings, sources, revive)
                pulse = Pulse()
                beating = asyncio.create_task(pulse.beat())
                with bootstrap.open_health(settings, worker, pulse, drift.of_sources) as url:
                    log.info(
                        "serve.started",
                        scorer=scorer_named(target),
                        sources=[s.name for s in sources],
                        health=url,
                    )
                    await timetable.run()
                beating.cancel()
                log.info("serve.stopped")

        asyncio.run(serving())
