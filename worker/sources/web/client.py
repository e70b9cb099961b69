"""Asks over HTTP: safely, one request at a time, as slowly as it is told to, and again where that
may help."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

import worker
from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger, printable
from worker.sources.http import WebConfig
from worker.sources.web import addresses

log = get_logger(__name__)

USER_AGENT = f"sentiment-worker/{worker.__version__}"

MAX_BODY = 64 * 1024 * 1024
"""Of an answer, unpacked: a page of records is a few megabytes at most."""

MAX_HOPS = 5
TRIES = 5
MAX_WAIT_S = 300.0
"""That an API may ask for before the next request; more ends the run, and the next one goes on."""

REFUSED = {
    401: "The API does not accept the credentials",
    403: "The API refuses access",
    404: "There is nothing at this address",
    410: "What was at this address is gone",
}
AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may work.
https://developer.mozilla.org/docs/Web/HTTP/Reference/Status"""


@dataclass(frozen=True, slots=True)
class Answer:
    url: str
    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes

    def json(self) -> Any:
        """Raises SourceUnavailable: half an answer, or a page of a proxy in its place."""
        try:
            return json.loads(self.body.removeprefix(b"\xef\xbb\xbf"))
        except (ValueError, RecursionError) as error:
            kind = printable(self.headers.get("content-type", "something untyped"))[:60]
            raise SourceUnavailable(
                f"{shown(self.url)} answered with {kind} instead of JSON."
            ) from error


@dataclass(frozen=True, slots=True)
class Asking:
    """How a source asks."""

    source: str
    headers: Mapping[str, str] = field(default_factory=dict)
    auth: Any = None
    """One of `auth.Auth`."""
    allow_private: Collection[str] = ()
    timeout_s: float = 30.0
    pause_s: float = 0.0
    """Between two requests, at least."""
    tries: int = TRIES


def asking(config: WebConfig) -> Asking:
    """As a source is configured."""
    return Asking(
        config.name,
        {name: value.get_secret_value() for name, value in config.headers.items()},
        config.auth,
        config.allow_private,
        config.timeout.total_seconds(),
        config.pause.total_seconds(),
    )


class Client:
    """Blocks. Each method raises SourceUnavailable where it may work later, ConfigurationError
    where a person must change something."""

    def __init__(self, how: Asking, sleep: Callable[[float], None] = time.sleep) -> None:
        self._how = how
        self._sleep = sleep
        self._next_at = 0.0
        self._transport = addresses.Transport(how.allow_private)
        self._http = httpx2.Client(
            transport=self._transport,
            timeout=how.timeout_s,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json, */*;q=0.5"},
        )

    def close(self) -> None:
        self._http.close()

    def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """An answer of 2xx or 304."""
        renewed = False
        for attempt in range(self._how.tries):
            own = dict(self._how.headers) | dict(headers or {}) | self._signed(renew=False)
            try:
                answer = self._followed(method, url, params, body, own)
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                self._wait_or_raise(attempt, url, type(error).__name__, None)
                continue
            if answer.status == 401 and self._how.auth is not None and not renewed:
                renewed = True  # a token may have been withdrawn before its time
                self._signed(renew=True)
                continue
            if answer.status not in AGAIN and not _is_throttled(answer):
                return self._accepted(answer)
            self._wait_or_raise(attempt, url, f"HTTP {answer.status}", answer)
        raise SourceUnavailable(f"{shown(url)} stopped accepting the credentials.")

    def _accepted(self, answer: Answer) -> Answer:
        if 200 <= answer.status < 300 or answer.status == 304:
            return answer
        why = REFUSED.get(answer.status, "The API refuses the request")
        raise ConfigurationError(
            f"{why} (HTTP {answer.status}): {shown(answer.url)}.",
            hint="Check url, params and auth of the source"
            f" {self._how.source!r}, and what the API's documentation says of this status.",
        )

    def _wait_or_raise(self, attempt: int, url: str, what: str, answer: Answer | None) -> None:
        wait_s = _asked_to_wait(answer)
        if wait_s is None:
            wait_s = random.uniform(0.5, 1.0) * 0.5 * 2**attempt  # noqa: S311  not a secret
        if attempt + 1 >= self._how.tries or wait_s > MAX_WAIT_S:
            later = f" It asks to wait {wait_s:,.0f} s." if wait_s > MAX_WAIT_S else ""
            raise SourceUnavailable(f"{shown(url)} does not answer as it should: {what}.{later}")
        log.warning("web.again", source=self._how.source, url=shown(url), why=what, after_s=wait_s)
        self._next_at = max(self._next_at, time.monotonic() + wait_s)

    def _followed(
        self, method: str, url: str, params: Any, body: Any, headers: Mapping[str, str]
    ) -> Answer:
        """Each hop of a redirect is judged anew; another site gets no header of ours."""
        for _ in range(MAX_HOPS):
            answer = self._once(method, url, params, body, headers)
            target = answer.headers.get("location")
            if answer.status not in (301, 302, 303, 307, 308) or not target:
                return answer
            target = joined(url, target, self._how.source)
            if urlsplit(target)[:2] != urlsplit(url)[:2]:
                headers = {}
            if answer.status == 303:
                method, body = "GET", None
            url, params = target, None
        raise ConfigurationError(f"{shown(url)} redirects more than {MAX_HOPS} times.")

    def _once(
        self,
        method: str,
        url: str,
        params: Any,
        body: Any,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        require_web(url, self._how.source)
        for name, value in headers.items():
            if not (value.isascii() and value.isprintable()):
                raise ConfigurationError(
                    f"The header {name!r} of source {self._how.source!r} holds characters that"
                    " HTTP does not take: a line break, or not ASCII.",
                )
        if (wait_s := self._next_at - time.monotonic()) > 0:
            self._sleep(wait_s)
        self._next_at = time.monotonic() + self._how.pause_s
        self._transport.end_in(10 * self._how.timeout_s)
        try:
            with self._http.stream(
                method, url, params=params or None, json=body, data=form, headers=dict(headers)
            ) as response:
                content = bytearray()
                for part in response.iter_bytes():
                    content += part
                    if len(content) > MAX_BODY:
                        raise ConfigurationError(
                            f"{shown(url)} answers with more than {MAX_BODY >> 20} MB.",
                            hint="Ask for fewer records a page.",
                        )
                found = {name.lower(): value for name, value in response.headers.items()}
                return Answer(str(response.url), response.status_code, found, bytes(content))
        except addresses.Unsafe as error:
            raise addresses.refusal(str(error), self._how.source) from None
        except httpx2.InvalidURL as error:
            raise ConfigurationError(
                f"The source {self._how.source!r} leads to an invalid URL."
            ) from error

    def _signed(self, *, renew: bool) -> dict[str, str]:
        how = self._how.auth
        found: dict[str, str] = how.headers(self._post, renew=renew) if how else {}
        return found

    def _post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        """A form, for a token."""
        try:
            answer = self._once("POST", url, None, None, headers, form)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise SourceUnavailable(
                f"{shown(url)} issued no token: {type(error).__name__}."
            ) from error
        if answer.status in (400, 401, 403):
            raise ConfigurationError(
                f"{shown(url)} issued no token (HTTP {answer.status}).",
                hint=f"Check client_id, client_secret and scope of {self._how.source!r}.",
            )
        if answer.status != 200:
            raise SourceUnavailable(f"{shown(url)} issued no token: HTTP {answer.status}.")
        return answer.json()


def require_web(url: str, source: str, was: str = "") -> None:
    """Raises ConfigurationError unless the URL is http(s), has no login in it, and does not leave
    TLS."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"The source {source!r} leads to an invalid URL.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"The source {source!r} leads to an address that is not http or https."
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            f"The source {source!r} has a password in its url.", hint="Write it as auth = {...}."
        )
    if was.startswith("https:") and parts.scheme == "http":
        raise ConfigurationError(
            f"{shown(was)} redirects from https to http, which would expose the request."
        )


def joined(base: str, target: str, source: str) -> str:
    """Where a link or a redirect leads. Raises as `require_web`."""
    try:
        found = urljoin(base, target)
    except ValueError as error:
        raise ConfigurationError(f"The source {source!r} leads to an invalid URL.") from error
    require_web(found, source, was=base)
    return found


def shown(url: str) -> str:
    """An address for an error or a log: without its query, which may hold a key."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.hostname or ''}"
                     f"{f':{parts.port}' if parts.port else ''}{parts.path}")[:200]  # fmt: skip


def _asked_to_wait(answer: Answer | None) -> float | None:
    """Seconds, or a date. https://datatracker.ietf.org/doc/html/rfc9110#section-10.2.3"""
    said = answer.headers.get("retry-after", "").strip() if answer else ""
    if said.isdecimal():
        return float(said)
    try:
        when = parsedate_to_datetime(said)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError):
        return None


def _is_throttled(answer: Answer) -> bool:
    """Some say 403 where they mean 429:
    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""
    return answer.status == 403 and "retry-after" in answer.headers
