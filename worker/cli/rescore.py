"""`rescore`: let another model version judge what is stored, compare, and make it current."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from worker.cli import progress
from worker.cli.look import period, reading_from
from worker.cli.output import (
    WORDS,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    print_rows,
    say,
    settings_for,
)
from worker.cli.planning import (
    DryRunOption,
    MaxCostOption,
    SinceOption,
    UntilOption,
    VersionOption,
    make_plan,
)
from worker.errors import ConfigurationError
from worker.insight import manifest as manifests
from worker.selection import Only, Selection
from worker.store import reading
from worker.store.analytics import recalibration, rollup, scorers
from worker.store.analytics.recalibration import Recalibration

app = typer.Typer(
    help="Score what is stored by another model version, side by side; compare; promote.",
    no_args_is_help=True,
)

VersionArgument = Annotated[str, typer.Argument(help="A model version that `rescore list` shows.")]

_PLAN_EXAMPLES = (
    "Example:  [bold]LAMBDA_QUALIFIER=next sentiment-worker rescore plan --source reviews "
    "--label negative --to 2.0.0[/bold]"
)


@app.command(epilog=_PLAN_EXAMPLES)
def plan(
    source: Annotated[str, typer.Option("--source", "-s", help="Whose records.")],
    to: VersionOption = None,
    label: Annotated[str | None, typer.Option(help="Only those that have this label now.")] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Only those scored by this provider now: lambda, textblob.")
    ] = None,
    model_version: Annotated[
        str | None, typer.Option(help="Only those scored by this version now.")
    ] = None,
    contains: Annotated[str | None, typer.Option(help="Only texts with this in them.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    max_cost: MaxCostOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, max=2**31, help="At most.")
    ] = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Plan it as a backfill of what has no score by version --to yet; `backfill apply` does it.

    The new scores stand beside the old, which stay current until `rescore promote`.
    """
    start, end = period(since, until)
    selection = Selection(
        source=source,
        since=start,
        until=end,
        only=Only.MISSING if to else Only.ALL,
        label=label.lower() if label else None,
        scorer=scorer,
        model_version=model_version,
        contains=contains,
        target_version=to,
        limit=limit,
    )
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose, source=source) as engine:
        code = make_plan(settings, engine, selection, max_cost, output, dry_run=dry_run)
    raise typer.Exit(code)


@app.command("list", epilog="Example:  [bold]sentiment-worker rescore list[/bold]")
def list_(
    config: ConfigOption = None, output: OutputOption = Output.TABLE, verbose: VerboseOption = False
) -> None:
    """Who has scored, how much, and whose word is current."""
    columns = ("provider", "model", "version", "current", "scores", "promoted_at", "first_seen")
    with reading_from(config, verbose=verbose) as engine:
        print_rows(scorers.listed(engine), columns, output)


@app.command(epilog="Example:  [bold]sentiment-worker rescore flips 1.1.0 2.0.0[/bold]")
def flips(
    old: VersionArgument,
    new: VersionArgument,
    source: Annotated[str | None, typer.Option("--source", "-s", help="Only this source.")] = None,
    examples: Annotated[
        int, typer.Option("--examples", "-n", min=0, max=2**31, help="How many.")
    ] = 10,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Where two versions disagree on the same texts: how many, by source, and the furthest."""
    with reading_from(config, verbose=verbose, source=source) as engine:
        pair = scorers.named(engine, old), scorers.named(engine, new)
        counts = scorers.flips(engine, *pair, source=source)
        shown = scorers.flipped(engine, *pair, source=source, limit=examples)
    if output is Output.JSON:
        print_json({"by_source": counts, "examples": shown})
        return
    columns = ("source", "compared", "other_label", "other_sign", "mean_change", "mean_old")
    if not print_rows(counts, (*columns, "mean_new"), output):
        say("No text has scores by both.")
        return
    columns = ("source", "external_id", "old_label", "old_polarity", "new_label", "new_polarity")
    print_rows(shown, (*columns, "text"), output)


@app.command(epilog="Example:  [bold]sentiment-worker rescore promote 2.0.0[/bold]")
def promote(
    version: VersionArgument,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Make its word current wherever it has spoken: one transaction, no score is touched."""
    with reading_from(config, verbose=verbose) as engine:
        scorer = scorers.named(engine, version)
        if dry_run:
            say(f"{scorer['scores']:,} scores of {version} would become current. Nothing was done.")
            return
        scorers.promote(engine, scorer["id"])
        _count_anew(engine)
        say(f"{scorer['model']} {version} is current. To undo: rescore demote {version}")


@app.command(epilog="Example:  [bold]sentiment-worker rescore demote 2.0.0[/bold]")
def demote(
    version: VersionArgument,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Take the word from it; the version that was promoted before it is current again."""
    with reading_from(config, verbose=verbose) as engine:
        scorer = scorers.named(engine, version)
        if dry_run:
            say(f"{version} would no longer be current. Nothing was done.")
            return
        now = scorers.demote(engine, scorer["id"])
        _count_anew(engine)
        say(f"{now['model']} {now['version']} is current again.")


_RECALIBRATE_EXAMPLES = (
    "Example:  [bold]sentiment-worker rescore recalibrate old/ new/manifest.json[/bold]"
)


@app.command(epilog=_RECALIBRATE_EXAMPLES)
def recalibrate(
    old: Annotated[Path, typer.Argument(help="The manifest of the version that has scored.")],
    new: Annotated[Path, typer.Argument(help="That of the same model with other temperatures.")],
    source: Annotated[str | None, typer.Option("--source", "-s", help="Only this source.")] = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Compute a new version's scores from those that are stored, without a call: where a model's
    weights are the same, and only the temperatures of its probabilities are others.

    No label changes. The new scores stand beside the old, which stay current until `rescore
    promote`. Stopped anywhere, it goes on where it was when run again. A text that was read in
    several windows comes close to what the function would say; any other comes out the same.
    """
    before, after = _manifest(old), _manifest(new)
    powers = manifests.powers(before, after)
    with reading_from(config, verbose=verbose, source=source) as engine:
        wanted = Recalibration(
            scorers.named(engine, f"{before.name} {before.version}"),
            after.name,
            after.version,
            after.languages,
            powers,
            reading.source_id(engine, source) if source else None,
        )
        scores, done = recalibration.plan(engine, wanted)
        if dry_run:
            say(f"{scores:,} scores of {before.version} would get one of {after.version} beside"
                f" them ({done:,} have it). No call would be made. Nothing was done.")  # fmt: skip
            return
        with progress.counting("recalibrating", scores) as told:
            written = recalibration.apply(engine, wanted, told)
        _count_anew(engine)
    say(f"{written:,} scores of {after.name} {after.version} were computed from those of"
        f" {before.version}; {scores - written:,} were there already.")  # fmt: skip
    say(f"Compare: sentiment-worker rescore flips {before.version} {after.version}; then: rescore"
        f" promote {after.version}")  # fmt: skip


def _manifest(path: Path) -> manifests.Manifest:
    """Raises ConfigurationError."""
    file = path / "manifest.json" if path.is_dir() else path
    try:
        return manifests.parsed(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error}.", hint="Name a model's folder, or its manifest."
        ) from error


def _count_anew(engine: Engine) -> None:
    """The days, where another word is current now."""
    with WORDS.status("Counting the days anew ..."):
        rollup.fold(engine, wait=True)
