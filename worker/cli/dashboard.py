"""`dashboard`: stored sentiment as a page and a JSON API."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Annotated

import typer
from pydantic import SecretStr

from worker import bootstrap
from worker.cli.output import ConfigOption, VerboseOption, needing, say, settings_for
from worker.errors import ConfigurationError

WILDCARDS = ("0.0.0.0", "[::]")  # noqa: S104  named here, not bound

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
    user_header: Annotated[
        str | None,
        typer.Option(
            help="The header in which your proxy says who it has authenticated. Whoever can set it"
            " gets in: let the proxy alone reach this address, and drop the header of others."
        ),
    ] = None,
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
    name, port = parted(address)
    with needing("dashboard"):
        import uvicorn

        from worker.dashboard.app import application
        from worker.dashboard.guard import AccessRules
    rules = AccessRules(
        token=_secret(settings.dashboard_token),
        reviewer_token=_secret(settings.reviewer_token) if review else None,
        user_header=user_header or settings.dashboard_user_header,
        hosts=(*(() if name in WILDCARDS else (name,)), *(host or ())),
    )
    rules.require_for(name)
    if review:
        rules.require_reviewers()
    with (
        _listening(name, port) as socket_,
        bootstrap.open_questions(settings) as engine,
        bootstrap.open_reviewing(settings) if review else nullcontext() as judging,
    ):
        say(f"Open http://{'localhost' if name in WILDCARDS else name}:{port}/")
        server = uvicorn.Config(
            application(engine, rules, judging),
            log_level="info" if verbose else "warning",
            access_log=verbose,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(server).run(sockets=[socket_])


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Raises ConfigurationError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host.strip("[]"), port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be used: {error.strerror}.", hint="Name another with --address."
        ) from error
    with listening:
        yield listening


def parted(address: str) -> tuple[str, int]:
    """Host and port. Raises ConfigurationError."""
    name, _, port = address.rpartition(":")
    if not name or not port.isdecimal() or int(port) > 65_535:
        raise ConfigurationError(f"--address {address!r}: write host:port, like 127.0.0.1:8090.")
    return name, int(port)
