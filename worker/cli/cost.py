"""`cost`: what calls have cost, what some would, and what duplicates have saved."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer

from worker import words
from worker.cli import progress
from worker.cli.look import SourceOption, period, reading_from
from worker.cli.output import (
    DATA,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    print_rows,
    say,
    settings_for,
)
from worker.cost import Prices, estimate, gb_seconds
from worker.errors import ConfigurationError
from worker.scoring.target import expected_concurrency
from worker.store.ledger import spending

app = typer.Typer(
    help="What calls have cost, by Lambda's own report lines, and what some would.",
    no_args_is_help=True,
)

GROUPS = ("day", "month", "source", "model", "model_version")
DEFAULT_DAYS = timedelta(days=30)

_REPORT_EXAMPLES = (
    "Examples:  [bold]sentiment-worker cost report --by day --by source[/bold]\n\n"
    "[bold]sentiment-worker cost report --by month --since 2026-01-01 --output json[/bold]"
)


@app.command(epilog=_REPORT_EXAMPLES)
def report(
    by: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(GROUPS)}; may be repeated.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this day on. Default: 30d.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this day.")] = None,
    source: SourceOption = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Calls, GB-seconds and dollars, and what sending each text once has saved.

    Counted from the report line of each call, and without one at the most that it can have cost.
    The local Lambda's calls cost nothing, and are shown at AWS's prices.
    """
    groups = tuple(by or ("day", "source"))
    if unknown := [name for name in groups if name not in GROUPS]:
        hint = f"Use {', '.join(GROUPS)}."
        raise ConfigurationError(f"--by {unknown[0]!r} is unknown.", hint=hint)
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    start, end = period(since, until)
    first = _day(start) or (datetime.now(UTC) - DEFAULT_DAYS).date()
    with reading_from(config, verbose=verbose, source=source) as engine:
        found = spending.by(engine, groups, since=first, until=_day(end), source=source)
        today, month = spending.spent(engine, settings.prices)
    rows = [_priced(row, settings.prices) for row in found]
    columns = [*groups, "invocations", "texts", "records", "gb_seconds", "cost_usd", "saved_usd"]
    if unreported := sum(row["unreported"] for row in rows):
        columns.insert(len(groups) + 1, "unreported")
    if not print_rows(rows, columns, output):
        say("Nothing was called in this time.")
    if unreported:
        say(
            f"{words.many(unreported, 'call', 'calls')} brought no report line (no answer, or none"
            " in the log): counted at the most they can have cost.",
            style="yellow",
        )
    if settings.uses_local_lambda:
        say("The local Lambda costs nothing: the dollars are what AWS would charge.")
    say(f"Today {today:.4f} USD, this month {month:.4f} USD, at prices read on "
        f"{settings.prices.read_on}.")  # fmt: skip
    for name, spent, budget in (
        ("day", today, settings.budget_daily),
        ("month", month, settings.budget_monthly),
    ):
        if budget is not None:
            say(f"Of the {name}'s budget of {budget} USD, {spent / budget:.0%} is spent.")


def _day(moment: datetime | None) -> date | None:
    return moment.astimezone(UTC).date() if moment else None


def _priced(row: Any, prices: Prices) -> dict[str, Any]:
    """With what it cost; saved is what the texts that came again would have cost too."""
    usd = prices.usd(invocations=row["invocations"], mb_ms=row["billed_mb_ms"])
    again = max(0, row["records"] - row["answered"])
    return dict(row) | {
        "gb_seconds": round(gb_seconds(row["billed_mb_ms"]), 3),
        "cost_usd": round(usd, 6),
        "saved_usd": round(usd * again / row["texts"], 6) if row["texts"] else 0.0,
    }


@app.command("estimate", epilog="Example:  [bold]sentiment-worker cost estimate 1000000[/bold]")
def estimate_(
    texts: Annotated[int, typer.Argument(min=1, help="How many texts.")],
    source: Annotated[
        str, typer.Option("--source", "-s", help="At this source's pace until now.")
    ] = "",
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """What so many texts would cost, at the pace that was measured until now."""
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose, source=source or None) as engine:
        pace = spending.pace(engine, source)
    found = estimate(
        texts,
        -(-texts // settings.chunk_texts),
        pace=pace,
        prices=settings.prices,
        concurrency=expected_concurrency(settings),
    )
    if output is Output.JSON:
        print_json(
            {
                "texts": texts,
                "invocations": found.invocations,
                "gb_seconds": found.gb_seconds,
                "cost_usd": found.cost_usd,
                "duration_s": found.duration_s,
                "pace_texts": pace.measured_on,
                "prices_read_on": settings.prices.read_on,
            }
        )
        return
    DATA.print(
        f"{found.invocations:,} calls, {found.gb_seconds:,.1f} GB-seconds, "
        f"{found.cost_usd:.4f} USD, {progress.spoken(found.duration_s)}"
    )
    how = f"the last {pace.measured_on:,} texts" if pace.measured_on else "the project's benchmark"
    say(f"At the pace of {how} and prices read on {settings.prices.read_on}.")
