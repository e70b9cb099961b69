"""`config`: what is set, where it came from, whether it is right."""

from __future__ import annotations

import os
from typing import Any

import typer
from pydantic import SecretStr

from worker import urls
from worker.cli.output import (
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    print_rows,
    say,
    settings_for,
)
from worker.loading import ENVIRONMENT, without_prefix
from worker.store import database

app = typer.Typer(help="What is set, and where each value came from.", no_args_is_help=True)

HIDDEN = "***"

OTHERS = ("MODEL_DIR", "SENTIMENT_POSTGRES_BIN", "TRANSCRIPTION_MODEL")
"""Read from the environment by what is started here: the function, and PostgreSQL."""


@app.command(epilog="Example:  [bold]sentiment-worker config show --output json[/bold]")
def show(
    config: ConfigOption = None, output: OutputOption = Output.TABLE, verbose: VerboseOption = False
) -> None:
    """Every setting with its value, its origin and its variable. Secrets are hidden."""
    loaded = settings_for(config, verbose=verbose, quiet=True)
    rows = [
        {
            "setting": name,
            "value": redacted(getattr(loaded.settings, name)),
            "origin": loaded.origins.get(name, "default"),
            "variable": ENVIRONMENT[name][0],
        }
        for name in type(loaded.settings).model_fields
        if name != "source"
    ]
    rows += [
        {
            "setting": name.lower(),
            "value": os.environ[name],
            "origin": f"${name}",
            "variable": name,
        }
        for name in OTHERS
        if os.environ.get(name)
    ]
    sources = [
        {name: redacted(value) for name, value in source if value not in (None, ())}
        for source in loaded.settings.source
    ]
    if output is Output.JSON:
        print_json({"settings": rows, "sources": sources})
        return
    print_rows(rows, ("setting", "value", "origin", "variable"), output)
    for source in sources:
        say(f"source {source['name']}: " + ", ".join(f"{k} = {v}" for k, v in source.items()))


@app.command(epilog="Example:  [bold]sentiment-worker config validate -c worker.toml[/bold]")
def validate(config: ConfigOption = None, verbose: VerboseOption = False) -> None:
    """Say whether the configuration can be used. Exit code 2 if it cannot."""
    loaded = settings_for(config, verbose=verbose, quiet=True)
    loaded.settings.require_scorer()
    if (url := loaded.settings.database_url) is not None:
        database.normalise_url(url.get_secret_value())
    for name, meant in without_prefix(os.environ):
        say(f"{name} is set but has no effect. Did you mean {meant}?", style="yellow")
    count = len(loaded.settings.source)
    say(f"The configuration is valid: {count} source{'s' if count != 1 else ''}.")


def redacted(value: Any) -> Any:
    """A value as it may be shown: of a secret URL everything but its password."""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return urls.shown(secret) if "://" in secret else HIDDEN
    if isinstance(value, str | int | float | bool | None):
        return value
    return str(value)
