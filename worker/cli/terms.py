"""`terms`: the words and phrases that one group of records says more than another."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import Annotated

import typer

from worker.cli.look import SourceOption, period, reading_from, tag_named
from worker.cli.output import (
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    print_rows,
    say,
)
from worker.errors import ConfigurationError
from worker.insight import saying, summary
from worker.insight.saying import AGAINST, Compared
from worker.store.analytics.questions import NEWEST_DAYS
from worker.store.analytics.scores import LABELS

EXAMPLE_SHOWN = 60
COLUMNS = ("term", "records", "share", "elsewhere", "z", "for_example")

EXAMPLES = (
    "Examples:  [bold]sentiment-worker terms --days 30[/bold]\n\n"
    "[bold]sentiment-worker terms --tag airline='US Airways'[/bold]   (against other airlines)\n\n"
    "[bold]sentiment-worker terms --days 7 --against before[/bold]   (against last week)"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(terms)


def terms(
    config: ConfigOption = None,
    source: SourceOption = None,
    label: Annotated[
        str, typer.Option(help=f"Of which records: {', '.join(LABELS)}, or any.")
    ] = "negative",
    since: Annotated[
        str | None, typer.Option(help="The first day (UTC): 2026-01-31, or 30d for a month ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="The day after the last.")] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=3660,
            show_default=str(NEWEST_DAYS),
            help="Without --since: so many, up to the newest record.",
        ),
    ] = None,
    tag: Annotated[
        str | None, typer.Option(help="Only records with this tag: airline=United.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="What they are compared with: other `labels`; other `values` of the tag (the"
            " default, with --tag); or as many days `before`."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=200, help="Terms at most.")
    ] = 20,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """What is said more in some records than in others: words and phrases.

    The clearest come first, by weighted log-odds (z, in standard errors): neither what everybody
    says nor what two people said. Handles, links and the group's own name are left out.
    """
    if against is not None and against not in AGAINST:
        raise ConfigurationError(
            f"--against {against!r} is unknown.", hint=f"There are: {', '.join(AGAINST)}."
        )
    start, end = period(since, until)
    with reading_from(config, verbose=verbose, source=source) as engine:
        scope = summary.period(
            engine,
            since=start.astimezone(UTC).date() if start else None,
            until=end.astimezone(UTC).date() if end else None,
            source=source,
            tag=tag_named(tag),
            days=days,
        )
        found = saying.compare(
            engine,
            scope,
            label=None if label == "any" else label.lower(),
            against=against,
            most=limit,
        )
    if output is Output.JSON:
        print_json(asdict(found) | {"verdict": found.verdict})
        return
    say(found.verdict)
    _print(found)


def _print(found: Compared) -> None:
    rows = [
        {
            "term": term.term,
            "records": term.records,
            "share": f"{term.share:.1%}",
            "elsewhere": f"{term.share_elsewhere:.1%}",
            "z": term.z,
            "for_example": " ".join(term.examples[0][1].split())[:EXAMPLE_SHOWN],
        }
        for term in found.terms
    ]
    if not print_rows(rows, COLUMNS, Output.TABLE):
        say("No term is said clearly more.")
