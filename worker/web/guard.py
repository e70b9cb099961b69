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
from worker.operate.who import operator

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

ALIVE = "/livez"
"""Answers everybody, and says nothing: probes and load balancers know no token and no name."""

_PAGES_SAY = {"origin", "sec-fetch-site"}

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
    reviewer_token: str | None = None
    """As the password of HTTP's basic authentication; the user is the reviewer's name."""
    user_header: str | None = None
    """Of a proxy that has authenticated who asks, and that alone reaches this address."""
    hosts: Collection[str] = ()
    """Names by which it is reached, besides loopback's."""

    def require_for(self, host: str) -> None:
        """Raises ConfigurationError where the address is open to others and nobody is asked who
        they are."""
        if self.token or self.reviewer_token or self.user_header or _is_loopback(host):
            return
        raise ConfigurationError(
            f"Whoever reaches {host} could read every record.",
            hint="Set SENTIMENT_DASHBOARD_TOKEN (or _FILE), or name the header in which your proxy"
            " says who it is: --user-header X-Forwarded-User. Or leave it on 127.0.0.1.",
        )

    def require_reviewers(self) -> None:
        """Raises ConfigurationError if a token is needed to read, and there is no way to sign in as
        a reviewer."""
        if self.token and not (self.reviewer_token or self.user_header):
            raise ConfigurationError(
                "With SENTIMENT_DASHBOARD_TOKEN alone people can read, but nobody can judge"
                " records.",
                hint="Set SENTIMENT_REVIEWER_TOKEN (or _FILE), too.",
            )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    may_judge: bool
    """Records that were drawn for review; for where that is allowed at all."""


class Guard:
    """Around everything: the Host header, then who asks, then headers for the browser."""

    def __init__(self, app: ASGIApp, rules: AccessRules, *, for_programs: bool = False) -> None:
        """Programs send requests that change something, as far as HTTP knows, and say no origin."""
        self._app = app
        self._rules = rules
        self._for_programs = for_programs
        self._local = Caller(operator(), may_judge=True)
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
        headers = Headers(scope=scope)
        if scope["path"] == ALIVE and scope["method"] == "GET":
            await PlainTextResponse("alive\n")(scope, receive, dressed)
            return
        caller = self._caller(headers)
        refusal = self._refusal(headers, caller, changes=scope["method"] != "GET")
        scope.setdefault("state", {})["caller"] = caller
        await (refusal or self._app)(scope, receive, dressed)

    def _refusal(
        self, headers: Headers, caller: Caller | None, *, changes: bool
    ) -> PlainTextResponse | None:
        # A page elsewhere whose name was made to mean this address must not read it.
        if _name(headers.get("host", "")) not in self._hosts:
            words = "This host name is not allowed; start the page with --host to allow it.\n"
            return PlainTextResponse(words, 421)
        if caller is None:
            asks = self._rules.token or self._rules.reviewer_token
            challenge = {"WWW-Authenticate": 'Basic realm="sentiment-worker", charset="UTF-8"'}
            return PlainTextResponse("Who are you?\n", 401, challenge if asks else None)
        # The browser adds passwords to what a page elsewhere makes it send, too.
        by_program = self._for_programs and not (_PAGES_SAY & set(headers.keys()))
        if changes and not (by_program or _is_same_origin(headers)):
            return PlainTextResponse("This request did not come from a page of this site.\n", 403)
        return None

    def _caller(self, headers: Headers) -> Caller | None:
        """None: nobody who may come in."""
        rules = self._rules
        if rules.user_header and (said := headers.get(rules.user_header)):
            return Caller(name := _named(said), may_judge=bool(name))
        user, secret = _credentials(headers.get("authorization", ""))
        if _same(secret, rules.reviewer_token):
            return Caller(name := _named(user), may_judge=bool(name))
        if _same(secret, rules.token):
            return Caller(_named(user), may_judge=False)
        asks = rules.token or rules.reviewer_token or rules.user_header
        return None if asks else self._local


def _credentials(authorization: str) -> tuple[str, str | None]:
    """User and secret, as basic or bearer authentication sends them."""
    kind, _, given = authorization.partition(" ")
    if kind.lower() == "basic":
        try:
            user, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", None
        return user, secret
    if kind.lower() == "bearer":
        return "", given.strip().encode("latin-1").decode(
            errors="replace"
        )  # as headers are decoded
    return "", None


def _same(given: str | None, secret: str | None) -> bool:
    if given is None or secret is None:
        return False
    return hmac.compare_digest(given.encode(), secret.encode())


def _named(name: str) -> str:
    """A person's name, as it is kept: printable, and not too long."""
    return "".join(filter(str.isprintable, name)).strip()[:200]


def _is_same_origin(headers: Headers) -> bool:
    """https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    (fetch metadata, and the origin where a browser does not send those)"""
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = headers.get("origin", "")
    return origin.partition("://")[2] == headers.get("host")


def _name(host: str) -> str:
    """Of a Host header, without the port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
