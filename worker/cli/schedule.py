"""`schedule`: when each source runs next, how it went last, and pausing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from worker.cli.look import reading_from
from worker.cli.output import (
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_rows,
    say,
    settings_for,
)
from worker.cli.planning import DryRunOption
from worker.cli.which import configured
from worker.durations import parse_duration
from worker.errors import ConfigurationError
from worker.operate.who import operator
from worker.sources.config import SourceConfig
from worker.store import reading
from worker.store.ledger import pauses, runs

app = typer.Typer(help="When sources run, and pausing them.", no_args_is_help=True)

OUTCOMES = 5
"""Of the last runs, how many to show."""

SourceArgument = Annotated[str, typer.Argument(help="The source.")]


@app.command("list", epilog="Example:  [bold]sentiment-worker schedule list --next 3[/bold]")
def list_(
    ahead: Annotated[
        int, typer.Option("--next", min=1, max=1000, help="How many times to show.")
    ] = 1,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Each source's rhythm, its next times (UTC), how its last runs ended (the newest first), and
    whether it is paused."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    sources = configured(settings, None)
    with reading_from(config, verbose=verbose) as engine:
        paused = pauses.current(engine)
        ended = {row["source"]: row["last_finished"] for row in reading.status(engine)}
        last = {source.name: reading.outcomes(engine, source.name, OUTCOMES) for source in sources}
    rows = [
        _row(source, ahead, paused.get(source.name, {}))
        | {"last_runs": last[source.name], "last_finished": ended.get(source.name)}
        for source in sources
    ]
    columns = ("source", "rhythm", "next", "last_runs", "last_finished", "paused")
    print_rows(rows, columns, output)


def _row(source: SourceConfig, ahead: int, pause: Mapping[str, Any]) -> dict[str, Any]:
    times = [] if source.listens else source.when.next(datetime.now(UTC), ahead)
    return {
        "source": source.name,
        "rhythm": "on arrival" if source.listens else str(source.when),
        "next": [f"{time:%Y-%m-%d %H:%M:%S}" for time in times],
        "paused": pauses.told(pause) if pause else None,
        "paused_until": None if not pause or pauses.is_endless(pause) else pause["until"],
        "reason": pause.get("reason"),
    }


@contextmanager
def _knowing(config: Path | None, verbose: bool, source: str) -> Iterator[Engine]:
    """The database, with a source registered that is configured and never ran."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    kinds = {each.name: each.kind for each in settings.source}
    with reading_from(config, verbose=verbose) as engine:
        if source in kinds:
            runs.register_source(engine, source, kinds[source])
        reading.require_source(engine, source)
        yield engine


_PAUSE_EXAMPLES = (
    "Example:  [bold]sentiment-worker schedule pause reviews --for 2h --reason 'migration'[/bold]"
)


@app.command(epilog=_PAUSE_EXAMPLES)
def pause(
    source: SourceArgument,
    reason: Annotated[str, typer.Option(help="Why; shown wherever the source is.")],
    how_long: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 7d.")],
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Pause a source for a while: `serve` and `once` leave it out, and say so.

    A run that is under way ends as usual. Nothing is lost: its cursor stays where it is.
    """
    try:
        until = datetime.now(UTC) + parse_duration(how_long)
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"--for: {error}.") from None
    if until <= datetime.now(UTC):
        raise ConfigurationError("--for must be longer than 0.")
    with _knowing(config, verbose, source) as engine:
        if not dry_run:
            source_id = reading.source_id(engine, source)
            pauses.begin(engine, source_id, by=operator(), reason=reason, until=until)
    done = "would be paused" if dry_run else "is paused"
    say(f"{source!r} {done} until {until:%Y-%m-%d %H:%M:%S} UTC: {reason}.")


@app.command(epilog="Example:  [bold]sentiment-worker schedule resume reviews[/bold]")
def resume(
    source: SourceArgument,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """End a source's pause now."""
    if dry_run:
        with reading_from(config, verbose=verbose, source=source) as engine:
            is_paused = source in pauses.current(engine)
        say(f"{source!r} would be resumed." if is_paused else f"{source!r} is not paused.")
        return
    with reading_from(config, verbose=verbose, source=source) as engine:
        ended = pauses.end(engine, reading.source_id(engine, source), by=operator())
    say(f"{source!r} is resumed." if ended else f"{source!r} was not paused.")
