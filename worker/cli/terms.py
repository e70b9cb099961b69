"""`terms`: the words and phrases that one group of records says more than another."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from worker.cli.days import (
    DaysOption,
    FirstDayOption,
    TagOption,
    UntilDayOption,
    scope_named,
)
from worker.cli.look import SourceOption, reading_from
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
from worker.insight import saying
from worker.insight.saying import AGAINST, Compared
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
    since: FirstDayOption = None,
    until: UntilDayOption = None,
    days: DaysOption = None,
    tag: TagOption = None,
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
    with reading_from(config, verbose=verbose, source=source) as engine:
        scope = scope_named(engine, source, since, until, days, tag)
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
    if found.is_comparable:
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
    if rows:
        print_rows(rows, COLUMNS, Output.TABLE)
    else:
        say("No term is said clearly more.")
