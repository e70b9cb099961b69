"""How a source says to an API who it is. Secrets are in headers alone, and in no error."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from worker.errors import SourceUnavailable
from worker.sources.config import Strict

EARLIER_S = 30.0
"""A token is renewed so long before it ends."""

Post = Callable[[str, Mapping[str, str], Mapping[str, str]], Any]
"""(url, form, headers) -> the JSON of the answer."""


class Bearer(Strict):
    type: Literal["bearer"]
    token: SecretStr

    def headers(self, post: Post, *, renew: bool = False) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"}


class Basic(Strict):
    type: Literal["basic"]
    user: str
    password: SecretStr

    def headers(self, post: Post, *, renew: bool = False) -> dict[str, str]:
        pair = f"{self.user}:{self.password.get_secret_value()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


class Header(Strict):
    """An API key in a header of the API's own."""

    type: Literal["header"]
    name: str
    value: SecretStr

    def headers(self, post: Post, *, renew: bool = False) -> dict[str, str]:
        return {self.name: self.value.get_secret_value()}


class ClientCredentials(Strict):
    """OAuth 2.0's grant for machines: https://datatracker.ietf.org/doc/html/rfc6749#section-4.4"""

    type: Literal["oauth2"]
    token_url: str
    client_id: str
    client_secret: SecretStr
    scope: str | None = None

    def headers(self, post: Post, *, renew: bool = False) -> dict[str, str]:
        """The token is kept for as long as it lives, for every source with the same credentials."""
        key = (self.token_url, self.client_id, self.client_secret.get_secret_value(), self.scope)
        token, until = _TOKENS.get(key, ("", 0.0))
        if renew or time.monotonic() >= until:
            token, until = self._token(post)
            _TOKENS[key] = (token, until)
        return {"Authorization": f"Bearer {token}"}

    def _token(self, post: Post) -> tuple[str, float]:
        pair = f"{self.client_id}:{self.client_secret.get_secret_value()}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        form = {"grant_type": "client_credentials"}
        form |= {"scope": self.scope} if self.scope else {}
        said = post(self.token_url, form, headers)
        token = said.get("access_token") if isinstance(said, dict) else None
        if not isinstance(token, str):
            raise SourceUnavailable("The token URL answered without an access_token.")
        try:
            seconds = float(said["expires_in"])
        except (KeyError, TypeError, ValueError):
            seconds = 300.0
        return token, time.monotonic() + max(0.0, seconds - EARLIER_S)


def tokens() -> list[str]:
    """Those that are held now: they are secrets, too."""
    return [token for token, _ in _TOKENS.values()]


_TOKENS: dict[tuple[str, str, str, str | None], tuple[str, float]] = {}
"""In this process alone: never stored."""

Auth = Annotated[Bearer | Basic | Header | ClientCredentials, Field(discriminator="type")]
