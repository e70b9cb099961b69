"""`demo`: the whole way of a record on this machine, with the sample that ships."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

import worker
from worker import bootstrap, log
from worker.cli import report
from worker.cli.output import DATA, VerboseOption, say, settings_for
from worker.cli.running import run_all
from worker.insight.summary import period, summarise
from worker.operate.turns import Turn
from worker.settings import Settings
from worker.sources.file import FileSourceConfig
from worker.states import Trigger
from worker.store.analytics import questions

SAMPLE = Path(worker.__file__).parent / "sample"

SOURCES = (
    FileSourceConfig(
        kind="file", name="demo-reviews", path=str(SAMPLE / "reviews.csv"), tags=("product",)
    ),
    FileSourceConfig(
        kind="file", name="demo-tickets", path=str(SAMPLE / "tickets.jsonl"), tags=("product",)
    ),
    FileSourceConfig(kind="file", name="demo-mentions", path=str(SAMPLE / "mentions.tsv")),
)


def register(app: typer.Typer) -> None:
    app.command(epilog="Example:  [bold]sentiment-worker demo[/bold]")(demo)


def demo(
    home: Annotated[
        Path | None,
        typer.Option(
            envvar="SENTIMENT_HOME",
            help="Where embedded databases live; the demo's is the folder `demo` in it.",
        ),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Score the made-up sample with the real model, in an embedded PostgreSQL, and show it.

    Needs no AWS account and no server, and touches neither: DATABASE_URL and
    LAMBDA_FUNCTION_NAME are ignored. Its made-up records have a database of their own. Run it
    twice: the second time nothing is sent.
    """
    settings_for(None, verbose=verbose, quiet=True)
    if not verbose:
        log.configure(level="error")
    own = (home or Settings().home) / "demo"
    settings = Settings(home=own)
    say("Starting PostgreSQL and the Lambda on this machine ...")
    _, code = run_all(settings, [Turn(s.name, s.kind, s, Trigger.ONCE) for s in SOURCES])
    with bootstrap.open_database(settings) as engine:
        first, _ = questions.extent(engine) or (None, None)
        summary = summarise(engine, period(engine, since=first))
    DATA.print()
    DATA.print(report.render(summary))
    say("")
    say("What to type next:")
    if shutil.which("sentiment-worker") is None:
        say(f"  source {Path(sys.executable).with_name('activate')}")
    say("  sentiment-worker once your-reviews.csv")
    say("  sentiment-worker --help")
    say("To look at the sample itself:")
    say(f"  export SENTIMENT_HOME={shlex.quote(str(own))}")
    say("  sentiment-worker scores --order most-negative --source demo-tickets")
    say("  sentiment-worker dashboard")
    raise typer.Exit(code)
