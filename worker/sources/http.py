"""HTTP: records of a JSON API, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from worker.errors import ConfigurationError
from worker.ports import Source
from worker.sources.config import Duration, SourceConfig
from worker.sources.json_records import FIELDS, JsonRecords
from worker.sources.kinds import Kind, Opening
from worker.sources.rows.layout import Layout
from worker.sources.web.auth import Auth


class WebConfig(SourceConfig):
    """What every source says that asks over HTTP."""

    url: str = Field(min_length=1)
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    auth: Auth | None = None
    allow_private: tuple[str, ...] = ()
    """Hosts inside this network that it may lead to."""
    timeout: Duration = timedelta(seconds=30)
    pause: Duration = timedelta()
    """Between two requests, at least: an API's rate limit."""

    @field_validator("url")
    @classmethod
    def _of_the_web(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("url must begin with https:// (or http://)")
        return value

    @model_validator(mode="after")
    def _patient(self) -> WebConfig:
        if self.timeout < timedelta(seconds=1):
            raise ValueError("timeout must be 1s or more")
        return self


class HttpSourceConfig(JsonRecords, WebConfig):
    kind: Literal["http"] = "http"
    method: Literal["GET", "POST"] = "GET"
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Of the address: no place for a secret, since addresses are logged by everybody between."""
    body: dict[str, Any] | None = None
    """Sent as JSON, with POST."""
    id: str = "id"
    text: str = "text"
    pagination: Literal["none", "next", "link", "cursor", "page", "offset"] = "none"
    next: str | None = None
    """JMESPath of the next page's URL ("next"), or of the cursor ("cursor")."""
    param: str | None = None
    """The parameter that holds the cursor, the page's number or the offset: by default `cursor`,
    `page` or `offset`."""
    first: int | None = Field(default=None, ge=0)
    """The first page's number, or the first offset: by default 1 and 0."""
    stop: str | None = None
    """JMESPath that is true on the last page; without it the last page is the one that is empty, or
    names no next."""
    since: str | None = None
    """The parameter that holds the newest time that was read: only what is newer is asked for."""
    since_format: Literal["iso", "unix", "unix_ms"] = "iso"
    overlap: Duration = timedelta(minutes=10)
    """How far before that time each run asks again: for records that show up late."""

    @model_validator(mode="after")
    def _makes_sense(self) -> HttpSourceConfig:
        if self.pagination in ("next", "cursor") and not self.next:
            raise ValueError(f'pagination = "{self.pagination}" needs next: where the next one is')
        if self.since and not self.time:
            raise ValueError("since needs time: the newest time that was read is asked from")
        if self.body is not None and self.method != "POST":
            raise ValueError('a body is sent with method = "POST"')
        self.require_paths("next", "stop")
        return self

    @property
    def layout(self) -> Layout:
        """Of rows with these names, whatever a record calls them."""
        named = {name: name for name in FIELDS if getattr(self, name)}
        more = {"timezone": self.timezone, "time_format": self.time_format}
        return Layout(**named, **more, tags=tuple(self.tag_paths))  # type: ignore[arg-type]


@contextmanager
def needs_web(source: str) -> Iterator[None]:
    """Around what imports the extra `web`. Raises ConfigurationError where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"The source {source!r} reads over HTTP, which is not installed: {error.name}.",
            hint="Run: pip install 'sentiment-worker[web]'",
        ) from error


def open_source(config: HttpSourceConfig, _: Opening) -> Source:
    with needs_web(config.name):
        from worker.sources.web.api import HttpSource
    return HttpSource(config)


KIND = Kind("http", "records of a JSON API, over HTTP", HttpSourceConfig, open_source)
