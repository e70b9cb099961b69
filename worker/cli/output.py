"""What every command shares: options, consoles, tables and JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker import log
from worker.errors import ConfigurationError, WorkerError
from worker.loading import Loaded, load

for _name in ("stdout", "stderr"):
    if getattr(sys, _name) is None:  # closed by whoever started us: `>&-`
        setattr(sys, _name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115

_WIDE = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
"""A file or a pipe has no width of its own; 80 columns would cut what `grep` looks for."""

DATA = Console(highlight=False, width=_WIDE)
"""stdout: what was asked for, and nothing else."""

WORDS = Console(stderr=True, highlight=False)
"""stderr: everything else."""

STRAY_KEYS = (
    "AWS_ACCESS_KEY_ID is set in the environment, and wins over a role or a profile. Unset it, or"
    " say that it is meant: LAMBDA_AUTH_METHOD=keys."
)

MAX_TEXT = 100

LEGIBLE = 18
"""Characters of a text below which a column says nothing: an id of 18 digits fits."""


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="SENTIMENT_CONFIG",
        help="The configuration file. Default: sentiment-worker.toml, if it exists.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="How to print: for people, or for programs.")
]
UserHeaderOption = Annotated[
    str | None,
    typer.Option(
        help="The header in which your proxy says who it has authenticated. Whoever can set it"
        " gets in: let the proxy alone reach this address, and drop the header of others."
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log every step, and show tracebacks.")
]


def settings_for(config: Path | None, *, verbose: bool, quiet: bool = False) -> Loaded:
    """Load the settings and set up the log by them. `quiet` leaves a terminal to the bars."""
    loaded = load(config)
    chosen = loaded.settings
    level = "debug" if verbose else chosen.log_level
    if quiet and not verbose and WORDS.is_terminal and chosen.log_format == "auto":
        level = "error"
    formats = {"auto": None, "json": True, "console": False}
    log.configure(level=level, as_json=formats[chosen.log_format])
    return loaded


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Raises ConfigurationError where a package of an extra is not installed."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"This needs the package {error.name}, of the extra {extra!r}.",
            hint=f"pip install 'sentiment-worker[{extra}]'",
        ) from error


def say(sentence: str, *, style: str | None = None) -> None:
    log.drain()
    with contextlib.suppress(OSError):  # nobody reads them: the exit code still tells
        WORDS.print(log.printable(sentence), style=style, markup=False, soft_wrap=True)


def say_error(error: WorkerError) -> None:
    """One plain sentence, and what to do about it."""
    say(f"Error: {error}", style="bold red")
    if error.hint:
        say(error.hint)


def print_json(value: Any) -> None:
    # Where stdout takes no UTF-8, JSON has escapes of its own.
    escaped = DATA.encoding.lower() not in ("utf-8", "utf8")
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=escaped, indent=2))


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], output: Output) -> int:
    """Rows as a table of `columns`, or whole as JSON; one below the other where a terminal is too
    narrow for numbers and times side by side. Returns how many there were."""
    found = list(rows)
    if output is Output.JSON:
        print_json(found)
        return len(found)
    table = _table(found, columns)
    unbounded = DATA.options.update(max_width=10_000)  # else it says what it is given
    if DATA.measure(table, options=unbounded).minimum <= DATA.width:
        DATA.print(table)
        return len(found)
    for row in found:
        for column in columns:
            if row[column] is not None:
                DATA.print(Text(f"{column:16} ", "bold"), end="")
                DATA.print(cell(row[column], column))
        DATA.print()
    return len(found)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        kinds = {type(row[column]) for row in rows} - {type(None)}
        numeric = kinds <= {int, float} and bool(kinds)
        whole = numeric or bool(kinds & {datetime, timedelta})
        texts = [column, *(cell(row[column], column).plain for row in rows)]
        longest = max(len(text) for text in texts)
        table.add_column(
            column,
            justify="right" if numeric else "left",
            no_wrap=whole,
            min_width=longest if whole else min(longest, LEGIBLE),
        )
    for row in rows:
        table.add_row(*(cell(row[column], column) for column in columns))
    return table


def cell(value: Any, column: str = "") -> Text:
    """A value for a terminal: one line, bounded, nothing of it taken for markup or control."""
    if value is None:
        return Text("-", style="dim")
    if column.endswith("_usd"):
        return Text(f"{value:,.6f}")  # a call costs a hundred-thousandth
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, float):
        return Text(f"{value:g}" if 0 < abs(value) < 0.001 else f"{value:.3f}")
    if isinstance(value, datetime):
        return Text(value.strftime("%Y-%m-%d %H:%M:%S"), no_wrap=True)
    if isinstance(value, timedelta):
        return Text(f"{value.total_seconds():,.1f} s", no_wrap=True)
    text = log.printable(" ".join(str(value).split()))
    return Text(text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)
