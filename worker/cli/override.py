"""`override`: people correct the machine, beside its score and never over it."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.look import LimitOption, SourceOption, reading_from
from worker.cli.output import ConfigOption, Output, OutputOption, VerboseOption, print_rows, say
from worker.cli.planning import DryRunOption
from worker.errors import ConfigurationError
from worker.operate.who import operator
from worker.store.analytics import overrides, rollup

app = typer.Typer(
    help="Correct what the machine said of a record. Its own score stays beside yours.",
    no_args_is_help=True,
)

SourceArgument = Annotated[str, typer.Argument(help="The source.")]
IdArgument = Annotated[str, typer.Argument(help="The record's id there: external_id in `scores`.")]
WhyOption = Annotated[str, typer.Option(help="Why; it is kept.")]
LABELS = ", ".join(overrides.POLARITY)


@app.command(
    "set",
    epilog="Example:  [bold]sentiment-worker override set reviews 17 negative --why sarcasm[/bold]",
)
def set_(
    source: SourceArgument,
    record: IdArgument,
    label: Annotated[str, typer.Argument(help=f"{LABELS}.")],
    why: WhyOption,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Say what a record's text means, as it stands now. Every view shows yours from then on;
    a text that is rewritten at the source is the machine's again.

    Confirming the machine is worth saying too: agreement counts it.
    """
    if label not in overrides.POLARITY:
        raise ConfigurationError(f"{label!r} is no label.", hint=f"Use {LABELS}.")
    _say(source, record, label, why, dry_run=dry_run, config=config, verbose=verbose)


@app.command(
    epilog="Example:  [bold]sentiment-worker override withdraw reviews 17 --why 'not sarcasm'"
    "[/bold]"
)
def withdraw(
    source: SourceArgument,
    record: IdArgument,
    why: WhyOption,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Take back what was said of a record: the machine's score holds again."""
    _say(source, record, None, why, dry_run=dry_run, config=config, verbose=verbose)


@app.command("list", epilog="Example:  [bold]sentiment-worker override list -n 5[/bold]")
def list_(
    source: SourceOption = None,
    limit: LimitOption = 20,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """What people said, the newest first, with what the machine says of the same text."""
    columns = ("id", "source", "external_id", "label", "machine_label", "in_force", "made_by",
               "made_at", "why", "text")  # fmt: skip
    with reading_from(config, verbose=verbose, source=source) as engine:
        if not print_rows(overrides.listed(engine, source=source, limit=limit), columns, output):
            say("Nobody has corrected the machine yet.")


@app.command(epilog="Example:  [bold]sentiment-worker override agreement --output json[/bold]")
def agreement(
    source: SourceOption = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """By source and model: how often people say what the machine says, and how far apart they are.

    People look where they doubt: of records chosen by hand this says little about the others.
    """
    columns = ("source", "model", "model_version", "judged", "same_label", "agreement",
               "mean_distance")  # fmt: skip
    with reading_from(config, verbose=verbose, source=source) as engine:
        if not print_rows(overrides.agreement(engine, source=source), columns, output):
            say("Nobody has judged what the machine scored yet.")


def _say(
    source: str,
    record: str,
    label: str | None,
    why: str,
    *,
    dry_run: bool,
    config: ConfigOption,
    verbose: bool,
) -> None:
    with reading_from(config, verbose=verbose, source=source) as engine:
        record_id = overrides.find(engine, source, record)
        if not dry_run:
            overrides.put(engine, record_id, label, by=operator(), why=why)
            rollup.fold(engine, wait=True)
    would = "would be" if dry_run else "is"
    what = "the machine's again" if label is None else f"{label}, by {operator()}"
    say(f"Record {record} of {source!r} {would} {what}.")
