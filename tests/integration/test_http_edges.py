"""An API that drips its answer, and a next page that is looked for where it is not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web_api import WebApi
from worker.errors import SourceUnavailable
from worker.sources.http import HttpSourceConfig
from worker.sources.web.api import HttpSource
from worker.sources.web.client import Asking, Client


@pytest.fixture
def dripping() -> Iterator[str]:
    """A byte each tenth of a second, within every timeout of a read, and no end of its headers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                    while True:
                        connection.sendall(b"a")
                        time.sleep(0.1)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_headers_that_drip_have_an_end(dripping: str) -> None:
    client = Client(Asking("s", allow_private=["127.0.0.1"], timeout_s=0.2, tries=1))
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="ReadTimeout"):
        client.ask(dripping)
    client.close()
    assert 1.5 < time.monotonic() - began < 8


def source(api: WebApi, **said: Any) -> HttpSource:
    about = {"name": "s", "url": api.url("chain"), "records": "data", "pagination": "next"}
    private = {"allow_private": ["127.0.0.1"]}
    return HttpSource(HttpSourceConfig.model_validate(about | private | said))


def said_of(source: HttpSource) -> str:
    return source.remark.what if source.remark else ""


def test_a_next_that_may_be_misspelt_is_said_once() -> None:
    with WebApi(page_size=5) as api:
        api.put({n: f"text {n}" for n in range(12)})
        misspelt = source(api, next="nxt")
        positions: dict[str, Any] = {}
        for page in misspelt.pages(positions):
            positions[""] = page.position
        assert "nothing at next = 'nxt'" in said_of(misspelt)
        assert "it has data, next" in said_of(misspelt)
        list(misspelt.pages(positions))
        assert said_of(misspelt) == ""
        right = source(api, next="next")
        assert sum(len(page.records) for page in right.pages({})) == 12
        assert said_of(right) == ""


def test_one_page_that_says_there_is_no_next_is_no_mistake() -> None:
    with WebApi(page_size=50) as api:
        api.put({n: f"text {n}" for n in range(12)})
        whole = source(api, next="next")
        assert sum(len(page.records) for page in whole.pages({})) == 12
        assert said_of(whole) == ""
