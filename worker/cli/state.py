"""`state`: cursors that can be seen, set and rewound; every change is kept, and can be undone."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from worker import bootstrap
from worker.cli.look import LimitOption, moment, reading_from
from worker.cli.output import (
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
from worker.errors import ConfigurationError
from worker.operate.who import operator
from worker.settings import Settings
from worker.store.ledger import cursors

app = typer.Typer(
    help="Where sources stand: see it, set it, rewind it. Reading again scores nothing twice: only "
    "what is new or was rewritten is sent.",
    no_args_is_help=True,
)

HISTORY = 1_000
"""Of a source's changes, how many tell what its cursors look like."""

SourceArgument = Annotated[str, typer.Argument(help="The source.")]
WhyOption = Annotated[str, typer.Option("--why", help="Kept with the change.")]


@app.command(epilog="Example:  [bold]sentiment-worker state get reviews > reviews.json[/bold]")
def get(
    source: SourceArgument, config: ConfigOption = None, verbose: VerboseOption = False
) -> None:
    """Print a source's cursors as JSON, by partition: what `state set` takes."""
    with reading_from(config, verbose=verbose, source=source) as engine:
        print_json(cursors.get(engine, source))


@app.command(
    "set",
    epilog="Example:  [bold]sentiment-worker state set reviews reviews.json --why 'moved'[/bold]",
)
def set_(
    source: SourceArgument,
    file: Annotated[Path, typer.Argument(help="JSON as `state get` prints it; - reads stdin.")],
    why: WhyOption,
    whole: Annotated[
        bool, typer.Option("--whole", help="Partitions that FILE lacks begin anew.")
    ] = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Set a source's cursors. Exit code 4 while a run holds the source."""
    wanted = _read(file)
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose, source=source) as engine:
        _like_what_was_there(engine, source, wanted)
        _put(settings, engine, source, wanted, why, whole=whole, dry_run=dry_run)


@app.command(epilog="Example:  [bold]sentiment-worker state history reviews -n 5[/bold]")
def history(
    source: SourceArgument,
    limit: LimitOption = 20,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Who moved a source's cursors, when and why: a row a run and partition, and a row a change."""
    columns = ("id", "changed_at", "changed_by", "why", "run_id", "partition", "before", "after")
    with reading_from(config, verbose=verbose, source=source) as engine:
        if not print_rows(cursors.history(engine, source, limit=limit), columns, output):
            say("Its cursors have not moved yet.")


_REWIND_EXAMPLES = (
    "Examples:  [bold]sentiment-worker state rewind reviews --to 2026-01-01 --why 'late'[/bold]"
    "   [bold]sentiment-worker state rewind reviews --before 17 --why 'undo'[/bold]"
)


@app.command(epilog=_REWIND_EXAMPLES)
def rewind(
    source: SourceArgument,
    why: WhyOption,
    to: Annotated[
        str | None, typer.Option(help="To where they stood at this time: 2026-01-31, or 7d.")
    ] = None,
    before: Annotated[
        int | None,
        typer.Option(max=2**63 - 1, help="To before this change of `state history`: undoes it."),
    ] = None,
    beginning: Annotated[bool, typer.Option("--beginning", help="Read everything again.")] = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Put a source's cursors back; the next run reads from there."""
    if (to is not None) + (before is not None) + beginning != 1:
        raise ConfigurationError("Give one of --to, --before and --beginning.")
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose, source=source) as engine:
        if beginning:
            wanted: dict[str, Any] = {name: {} for name in cursors.get(engine, source)}
        elif before is not None:
            wanted = cursors.before(engine, source, before)
        else:
            at = moment(to, "--to")
            assert at is not None
            if at > datetime.now(UTC):
                raise ConfigurationError(
                    f"--to {to} is in the future; cursors can only be moved back."
                )
            wanted = cursors.at(engine, source, at)
        _put(settings, engine, source, wanted, why, whole=False, dry_run=dry_run)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _like_what_was_there(engine: Engine, source: str, wanted: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for partitions that the source never had, and for values of another
    kind than its own: such a cursor would stop every run."""
    rows = cursors.history(engine, source, limit=HISTORY)
    known = cursors.get(engine, source) | {
        row["partition"]: row["after"] for row in reversed(rows) if row["after"]
    }
    if strange := sorted(wanted.keys() - known.keys() if known else ()):
        raise ConfigurationError(
            f"The source {source!r} never had a partition {strange[0]!r}.",
            hint="Is it another source's state? Its own: sentiment-worker state get " + source,
        )
    kinds: dict[str, set[type]] = {}
    for position in known.values():
        for name, value in position.items():
            kinds.setdefault(name, set()).add(type(value))
    for partition, position in wanted.items():
        for name, value in position.items():
            if name in kinds and type(value) not in kinds[name]:
                raise ConfigurationError(
                    f"{partition!r}: {name} is no {type(value).__name__} in this source's cursors."
                )


def _read(file: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
        found = json.loads(text, parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair cannot be stored
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file} is not readable JSON: {error}.") from error
    if "\\u0000" in json.dumps(found):
        raise ConfigurationError(f"{file} holds a NUL, which no cursor has.")
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise ConfigurationError(
            f"{file} holds no cursors.",
            hint="Write what `state get` prints: an object by partition.",
        )
    return found


def _put(
    settings: Settings,
    engine: Engine,
    source: str,
    wanted: dict[str, Any],
    why: str,
    *,
    whole: bool,
    dry_run: bool,
) -> None:
    if dry_run:
        present = cursors.get(engine, source)
        moved = [name for name, position in wanted.items() if present.get(name) != position]
        say(f"{len(moved):,} of {len(present):,} cursors would move. Nothing was done.")
        return
    with bootstrap.held_source(settings, engine, source) as source_id:
        changes = cursors.put(engine, source_id, wanted, by=operator(), why=why, whole=whole)
    say(f"{len(changes):,} cursors of {source!r} were moved; `state history` keeps what they were.")
