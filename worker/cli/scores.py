"""`scores`: current sentiment, filtered, on the terminal or into a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from worker import export, words
from worker.cli.look import SourceOption, period, reading_from, tag_named
from worker.cli.output import (
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_rows,
    say,
)
from worker.errors import ConfigurationError
from worker.insight.scope import require
from worker.store.analytics import scores as stored
from worker.store.analytics.scores import LABELS, ORDERS, Row, ScoreFilter
from worker.store.analytics.views import CURRENT_SENTIMENT, kinds

ON_SCREEN = 20

COLUMNS = (
    *("source", "external_id", "published_at", "label", "polarity"),
    *("scorer", "provisional", "model_version", "text"),
)

EXAMPLES = (
    "Examples:  [bold]sentiment-worker scores --order most-negative --since 7d[/bold]\n\n"
    "[bold]sentiment-worker scores --label negative --matches 'refund -shipping' --output json"
    "[/bold]\n\n[bold]sentiment-worker scores --source reviews --export reviews.xlsx[/bold]"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(scores)


def scores(
    config: ConfigOption = None,
    source: SourceOption = None,
    label: Annotated[
        str | None, typer.Option(help=f"{', '.join(LABELS)}, or a model's own.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this time on: 2026-01-31, or 7d for a week ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    provisional: Annotated[
        bool | None, typer.Option("--provisional/--final", help="Only TextBlob's, or none of them.")
    ] = None,
    scorer: Annotated[str | None, typer.Option(help=f"{', '.join(stored.SCORERS)}.")] = None,
    min_polarity: Annotated[
        float | None, typer.Option(min=-1, max=1, help="From -1 (negative) to 1 (positive).")
    ] = None,
    max_polarity: Annotated[float | None, typer.Option(min=-1, max=1, help="At most.")] = None,
    contains: Annotated[
        str | None, typer.Option(help="Only texts with exactly this in them.")
    ] = None,
    matches: Annotated[
        str | None,
        typer.Option(help="Only texts with these words, as a search engine reads them (English)."),
    ] = None,
    tag: Annotated[
        str | None, typer.Option(help="Only records with this tag: airline=United.")
    ] = None,
    order: Annotated[str, typer.Option(help=f"{', '.join(ORDERS)}.")] = "newest",
    limit: Annotated[
        int | None,
        typer.Option(
            *("--limit", "-n"),
            min=1,
            max=2**31,
            help=f"At most. Default: {ON_SCREEN}; exports: all.",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--export",
            help=f"Write every column to this file: {', '.join(export.FORMATS)}, by its ending.",
        ),
    ] = None,
    for_spreadsheet: Annotated[
        bool,
        typer.Option(
            "--for-spreadsheet",
            help="In a CSV export, put an apostrophe before texts that a spreadsheet would run as"
            " formulas. Without it texts are exact, for programs.",
        ),
    ] = False,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Current sentiment, one row a record. Times are UTC.

    By label or polarity, records in a language that their model does not read are left out, as
    every count does; in an order by polarity they come last.
    """
    if for_spreadsheet and to is None:
        raise ConfigurationError("--for-spreadsheet is for a file: name it with --export.")
    writer = export.writer_for(to, for_spreadsheet=for_spreadsheet) if to else None
    start, end = period(since, until)
    wanted = ScoreFilter(
        source=source,
        label=label.lower() if label is not None else None,
        since=start,
        until=end,
        provisional=provisional,
        scorer=scorer,
        min_polarity=min_polarity,
        max_polarity=max_polarity,
        text=contains,
        words=matches,
        tag=tag_named(tag),
        limit=limit or (None if to else ON_SCREEN),
        order=order,
    )
    with reading_from(config, verbose=verbose, source=source) as engine:
        require(engine, wanted)
        found = stored.ask(engine, wanted)
        if writer and to:
            _save(found, to, writer, for_spreadsheet=for_spreadsheet)
        elif not print_rows(found, COLUMNS, output):
            say("No record matches.")


def _save(found: Iterable[Row], to: Path, writer: export.Writer, *, for_spreadsheet: bool) -> None:
    """Into a file, and say what the file does not hold as it is, or would do elsewhere."""
    watched, ending = export.Watched(found), to.suffix.lower()
    rows = export.save(watched, kinds(CURRENT_SENTIMENT), to, writer)
    say(f"{rows:,} rows are in {to}.")
    if watched.long and ending == ".xlsx":
        texts = words.many(watched.long, "text is", "texts are")
        say(
            f"{texts} longer than a cell holds ({export.SHEET_TEXT:,} characters), and cut:"
            " .csv and .parquet hold them whole.",
            style="yellow",
        )
    if watched.formulas and ending == ".csv" and not for_spreadsheet:
        cells = words.many(watched.formulas, "cell begins", "cells begin")
        say(
            f"{cells} like a formula, which a spreadsheet would run: export with"
            " --for-spreadsheet, or to .xlsx, to open it in one.",
            style="yellow",
        )
