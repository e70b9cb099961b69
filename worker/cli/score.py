"""`score`: texts scored now, and stored nowhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from worker import bootstrap
from worker.cli.output import (
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_rows,
    settings_for,
)
from worker.errors import ConfigurationError
from worker.scoring import direct

COLUMNS = ("label", "polarity", "score", "model", "model_version", "text")

EXAMPLES = (
    "Examples:  [bold]sentiment-worker score 'I love this!' 'Never again.'[/bold]\n\n"
    "[bold]cut -f2 reviews.tsv | sentiment-worker score --output json[/bold]"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(score)


def score(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...", help="Without one, or with -: each line of stdin is a text."
        ),
    ] = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Score texts with the function that the settings name, in one call; nothing is stored.

    Without LAMBDA_FUNCTION_NAME the local Lambda is started for it. From Python: worker.score().
    """
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    texts = text if text and text != ["-"] else _lines()
    with bootstrap.open_lambda(settings, stores=False) as target:
        found = direct.score(target, texts)
    print_rows([asdict(each) for each in found], COLUMNS, output)


def _lines() -> Sequence[str]:
    """Of stdin, blank ones too: the answer has a row for each. Raises ConfigurationError where a
    person sits at it, or nothing came."""
    if not sys.stdin.isatty():
        raw = sys.stdin.buffer.read()
        try:
            lines = raw.decode("utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"stdin is not UTF-8 at byte {error.start}.", hint="Recode it: iconv -t utf-8"
            ) from error
        texts = [line.rstrip("\r") for line in (lines if lines[-1] else lines[:-1])]
        if any(map(str.strip, texts)):
            return texts
    raise ConfigurationError(
        "There is no text to score.", hint="Example: sentiment-worker score 'I love this!'"
    )
