"""`dashboard`: stored sentiment as a page and a JSON API."""

from __future__ import annotations

from contextlib import nullcontext
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

EXAMPLES = (
    "Examples:  [bold]sentiment-worker dashboard[/bold]\n\n"
    "[bold]SENTIMENT_DASHBOARD_TOKEN_FILE=token sentiment-worker dashboard --address 0.0.0.0:8090"
    " --host sentiment.example.org[/bold]"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(dashboard)


def dashboard(
    config: ConfigOption = None,
    address: Annotated[
        str, typer.Option(help="host:port. Beyond loopback a token or a proxy's header is needed.")
    ] = "127.0.0.1:8090",
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name by which browsers reach it, besides localhost; repeatable."),
    ] = None,
    user_header: UserHeaderOption = None,
    review: Annotated[
        bool, typer.Option("--review", help="Let people judge drawn records on /review.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Serve the page, and the JSON API under /api/v1, until told to stop (Ctrl-C).

    Everything is asked with the analyst's rights. SENTIMENT_DASHBOARD_TOKEN (or _FILE) asks for a
    password: as a bearer token, or in the browser's own window with any user. Needs the extra
    `dashboard`.

    With --review people judge records that `review draw` has drawn: whoever runs it on loopback,
    whoever the proxy names, or whoever gives SENTIMENT_REVIEWER_TOKEN (or _FILE) as the password,
    with their name as the user. That is done with a reviewer's rights, which allow nothing else.
    """
    settings = settings_for(config, verbose=verbose).settings
    with needing("dashboard"):
        from worker.dashboard.app import application
        from worker.web import site
    name, port = site.parted(address)
    rules = site.rules_for(
        settings, name, names=host or (), user_header=user_header, with_reviewers=review
    )
    with (
        site.listening(name, port) as socket_,
        bootstrap.open_questions(settings) as engine,
        bootstrap.open_reviewing(settings) if review else nullcontext() as judging,
    ):
        say(f"Open http://{site.shown(name)}:{port}/")
        site.serve(application(engine, rules, judging), socket_, verbose=verbose)
