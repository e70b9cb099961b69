"""A web application on an address, for people or for programs, until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from starlette.types import ASGIApp

from worker.errors import ConfigurationError
from worker.settings import Settings
from worker.web.guard import AccessRules

WILDCARDS = ("0.0.0.0", "[::]")  # noqa: S104  named here, not bound

STOP_S = 5
"""For answers under way at a stop."""


def rules_for(
    settings: Settings,
    host: str,
    *,
    names: Collection[str],
    user_header: str | None,
    with_reviewers: bool = False,
) -> AccessRules:
    """Who may reach what listens at `host`, under which names. Raises ConfigurationError where
    everybody could read every record."""
    rules = AccessRules(
        token=_secret(settings.dashboard_token),
        reviewer_token=_secret(settings.reviewer_token) if with_reviewers else None,
        user_header=user_header or settings.dashboard_user_header,
        hosts=(*(() if host in WILDCARDS else (host,)), *names),
    )
    rules.require_for(host)
    if with_reviewers:
        rules.require_reviewers()
    return rules


def parted(address: str, option: str = "--address") -> tuple[str, int]:
    """Host and port. Raises ConfigurationError."""
    name, _, port = address.rpartition(":")
    if not name or not port.isdecimal() or int(port) > 65_535:
        raise ConfigurationError(f"{option} {address!r}: write host:port, like 127.0.0.1:8090.")
    return name, int(port)


@contextmanager
def listening(host: str, port: int, option: str = "--address") -> Iterator[socket.socket]:
    """Raises ConfigurationError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket_ = socket.create_server((host.strip("[]"), port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port} cannot be used: {error.strerror}.", hint=f"Name another with {option}."
        ) from error
    with socket_:
        yield socket_


def shown(host: str) -> str:
    """As somebody on this machine would write it."""
    return "localhost" if host in WILDCARDS else host


def serve(app: ASGIApp, socket_: socket.socket, *, verbose: bool) -> None:
    import uvicorn  # slow to import

    server = uvicorn.Config(
        app,
        log_level="info" if verbose else "warning",
        access_log=verbose,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=STOP_S,
    )
    uvicorn.Server(server).run(sockets=[socket_])


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
