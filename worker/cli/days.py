"""Which days, source and tag a command is about: the options, and the scope that they name."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

import typer
from sqlalchemy import Engine

from worker.cli.look import period, tag_named
from worker.insight import summary
from worker.store.analytics.questions import NEWEST_DAYS
from worker.store.analytics.tallies import Scope

FirstDayOption = Annotated[
    str | None,
    typer.Option("--since", help="The first day (UTC): 2026-01-31, or 30d for a month ago."),
]
UntilDayOption = Annotated[str | None, typer.Option("--until", help="The day after the last.")]
DaysOption = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=1,
        max=3660,
        show_default=str(NEWEST_DAYS),
        help="Without --since: so many, up to the newest record.",
    ),
]
TagOption = Annotated[
    str | None, typer.Option("--tag", help="Only records with this tag: airline=United.")
]


def scope_named(
    engine: Engine,
    source: str | None,
    since: str | None,
    until: str | None,
    days: int | None,
    tag: str | None,
) -> Scope:
    """The days that options name, of a source and a tag's value. Raises ConfigurationError."""
    start, end = period(since, until)
    return summary.period(
        engine,
        since=start.astimezone(UTC).date() if start else None,
        until=end.astimezone(UTC).date() if end else None,
        source=source,
        tag=tag_named(tag),
        days=days,
    )
