"""`status`, and what every reading command shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from worker import bootstrap
from worker.cli.output import (
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_rows,
    say,
    settings_for,
)
from worker.durations import parse_moment
from worker.errors import ConfigurationError
from worker.store import migrate, reading
from worker.store.ledger import pauses

SourceOption = Annotated[str | None, typer.Option("--source", "-s", help="Only this source.")]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=2**31, help="How many at most.")
]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example:  [bold]sentiment-worker status --output json[/bold]")(status)


@contextmanager
def reading_from(
    config: Path | None, *, verbose: bool, source: str | None = None
) -> Iterator[Engine]:
    """The database to read from. Raises ConfigurationError if it has never seen `source`."""
    loaded = settings_for(config, verbose=verbose, quiet=True)
    with bootstrap.open_database(loaded.settings) as engine:
        migrate.require_current(engine)
        if source is not None:
            reading.require_source(engine, source)
        yield engine


def status(
    config: ConfigOption = None, output: OutputOption = Output.TABLE, verbose: VerboseOption = False
) -> None:
    """What is there, what waits and how the last runs ended, by source."""
    columns = (
        "source",
        "records",
        "pending",
        "provisional",
        "quarantined",
        "oldest_pending",
        "last_run",
        "last_finished",
        "paused",
    )
    with reading_from(config, verbose=verbose) as engine:
        paused = {name: pauses.told(pause) for name, pause in pauses.current(engine).items()}
        rows = [dict(row) | {"paused": paused.get(row["source"])} for row in reading.status(engine)]
        if not print_rows(rows, columns, output):
            say("Nothing was ingested yet. Begin with: sentiment-worker once reviews.csv")


def period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """What --since and --until name. Raises ConfigurationError where nothing can lie between."""
    start, end = moment(since, "--since"), moment(until, "--until")
    if start and end and start >= end:
        raise ConfigurationError(
            f"--since {since} is not before --until {until}: nothing lies between them."
        )
    return start, end


def moment(text: str | None, option: str) -> datetime | None:
    """A date, a time, or how long ago; without a zone it is UTC."""
    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError:
        raise ConfigurationError(
            f"{option} {text!r} is no time.", hint="Write 2026-01-31, 2026-01-31T08:00 or 7d."
        ) from None


def tag_named(tag: str | None) -> tuple[str, str] | None:
    """ "name=value". Raises ConfigurationError."""
    if tag is None:
        return None
    name, equals, value = tag.partition("=")
    if not name or not equals:
        raise ConfigurationError(f"--tag {tag!r}: write it as name=value.")
    return name, value
