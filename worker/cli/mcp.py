"""`mcp`: the analyst's questions for assistants, over stdin and stdout or HTTP."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from worker import bootstrap
from worker.cli.output import (
    ConfigOption,
    UserHeaderOption,
    VerboseOption,
    needing,
    say,
    settings_for,
)
from worker.errors import ConfigurationError

EXAMPLES = (
    "Examples: what an assistant's configuration names, and a service for several.\n\n"
    '[bold]{"mcpServers": {"sentiment": {"command": "sentiment-worker", '
    '"args": ["mcp", "--config", "/path/to/sentiment-worker.toml"]}}}[/bold]\n\n'
    "[bold]SENTIMENT_DASHBOARD_TOKEN_FILE=token sentiment-worker mcp --http 0.0.0.0:8091"
    " --host assistants.example.org[/bold]"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(mcp)


def mcp(
    config: ConfigOption = None,
    http: Annotated[
        str | None,
        typer.Option(
            help="host:port, in place of stdin and stdout: streamable HTTP at /mcp. Beyond loopback"
            " a token or a proxy's header is needed."
        ),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="A name by which it is reached over HTTP, besides localhost; repeatable."
        ),
    ] = None,
    user_header: UserHeaderOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Serve the analyst's questions to an assistant, over the Model Context Protocol.

    Over stdin and stdout, or with --http as a service: find, trend, compare, terms, explain_day and
    drill_down, read-only and with the analyst's rights. SENTIMENT_DASHBOARD_TOKEN (or _FILE) asks
    for it as a bearer token. Needs the extra `mcp`.
    """
    settings = settings_for(config, verbose=verbose).settings
    if http is None and (host or user_header):
        raise ConfigurationError("--host and --user-header are of --http host:port.")
    with needing("mcp"):
        from worker.assistants.server import application, server
        from worker.web import site
    if http is not None:
        name, port = site.parted(http, "--http")
        rules = site.rules_for(settings, name, names=host or (), user_header=user_header)
        with (
            site.listening(name, port, "--http") as socket_,
            bootstrap.open_questions(settings) as engine,
        ):
            say(f"Assistants reach it at http://{site.shown(name)}:{port}/mcp")
            site.serve(application(engine, rules), socket_, verbose=verbose)
        return
    # What is still in a buffer at the end would be taken for an answer.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    with bootstrap.open_questions(settings) as engine:
        server(engine).run("stdio")
