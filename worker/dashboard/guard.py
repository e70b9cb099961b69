"""Who may ask, and what a browser may do with the answer."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.errors import ConfigurationError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""https://owasp.org/www-project-secure-headers/"""


@dataclass(frozen=True, slots=True)
class AccessRules:
    """How one gets in. Without a token and a header everybody who reaches the address does."""

    token: str | None = None
    """As a bearer token, or as the password of HTTP's basic authentication, whatever the user."""
    user_header: str | None = None
    """Of a proxy that has authenticated who asks, and that alone reaches this address."""
    hosts: Collection[str] = ()
    """Names by which it is reached, besides loopback's."""

    def require_for(self, host: str) -> None:
        """Raises ConfigurationError where the address is open to others and nobody is asked who
        they are."""
        if self.token or self.user_header or _is_loopback(host):
            return
        raise ConfigurationError(
            f"Whoever reaches {host} could read every record.",
            hint="Set SENTIMENT_DASHBOARD_TOKEN (or _FILE), or name the header in which your proxy"
            " says who it is: --user-header X-Forwarded-User. Or leave it on 127.0.0.1.",
        )


class Guard:
    """Around everything: the Host header, then who asks, then headers for the browser."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules
        self._hosts = {*LOOPBACK, *(host.lower() for host in rules.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no websockets here
            await send({"type": "websocket.close"})
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["method"] == "HEAD":  # the server leaves out the body
            scope = dict(scope, method="GET")
        refusal = self._refusal(Headers(scope=scope))
        await (refusal or self._app)(scope, receive, dressed)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        # A page elsewhere whose name was made to mean this address must not read it.
        if _name(headers.get("host", "")) not in self._hosts:
            words = "This host name is not allowed; start the page with --host to allow it.\n"
            return PlainTextResponse(words, 421)
        rules = self._rules
        if rules.user_header and headers.get(rules.user_header):
            return None
        if rules.token and _matches(headers.get("authorization", ""), rules.token):
            return None
        if not rules.token and not rules.user_header:
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="sentiment-worker", charset="UTF-8"'}
        return PlainTextResponse("Who are you?\n", 401, challenge if rules.token else None)


def _matches(authorization: str, token: str) -> bool:
    kind, _, given = authorization.partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() == "bearer":
        given = given.strip().encode("latin-1").decode(errors="replace")  # as headers are decoded
    else:
        return False
    return hmac.compare_digest(given.encode(), token.encode())


def _name(host: str) -> str:
    """Of a Host header, without the port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
