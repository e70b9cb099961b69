"""`sql`: a question of your own, with the analyst's rights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import typer

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
from worker.store.analytics import adhoc

EXAMPLES = (
    "Examples:  [bold]sentiment-worker sql 'SELECT * FROM analytics.daily_sentiment ORDER BY day'"
    "[/bold]\n\n[bold]sentiment-worker sql --output json < question.sql[/bold]"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(sql)


def sql(
    question: Annotated[
        str | None, typer.Argument(help="One statement; without it, what stdin holds.")
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Ask schema analytics in SQL, also of the embedded database.

    Read-only, with the analyst's rights, 30 seconds at most. The views and ten questions are in
    docs/analytics.md.
    """
    asked = question if question is not None else typer.get_text_stream("stdin").read()
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with bootstrap.open_questions(settings, timeout_s=30.0) as engine:
        names, found = adhoc.ask(engine, asked)
    columns = numbered(names)
    rows = [dict(zip(columns, row, strict=True)) for row in found]
    if not print_rows(rows, columns, output):
        say("No row.")


def numbered(names: Sequence[str]) -> list[str]:
    """Names that repeat, told apart: count, count_2. What is named so already keeps its name."""
    told: dict[str, None] = {}
    for at, name in enumerate(names):
        taken = {*told, *names[at + 1 :]} if name in told else told
        others = (f"{name}_{n}" for n in itertools.count(2))
        told[name if name not in told else next(o for o in others if o not in taken)] = None
    return list(told)
