"""`mcp`: the analyst's questions for assistants, over stdin and stdout."""

from __future__ import annotations

import io
import sys

import typer

from worker import bootstrap
from worker.cli.output import ConfigOption, VerboseOption, needing, settings_for

EXAMPLES = (
    'Example:  [bold]{"mcpServers": {"sentiment": {"command": "sentiment-worker", '
    '"args": ["mcp", "--config", "/path/to/sentiment-worker.toml"]}}}[/bold]'
)


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(mcp)


def mcp(config: ConfigOption = None, verbose: VerboseOption = False) -> None:
    """Serve the analyst's questions to an assistant, over the Model Context Protocol.

    Over stdin and stdout: find, trend, compare, explain_day and drill_down, read-only and with the
    analyst's rights. The example is what an assistant's configuration names. Needs the extra `mcp`.
    """
    settings = settings_for(config, verbose=verbose).settings
    with needing("mcp"):
        from worker.assistants.server import server
    # What is still in a buffer at the end would be taken for an answer.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    with bootstrap.open_questions(settings) as engine:
        server(engine).run("stdio")
