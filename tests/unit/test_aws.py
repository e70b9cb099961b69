"""Whether an endpoint is on this machine: then no proxy is asked, and no credentials are."""

from __future__ import annotations

import pytest

from worker.aws import on_loopback


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9001", "https://localhost/", "http://LOCALHOST:1", "http://[::1]:80",
     "http://127.8.8.8", "http://user:secret@127.0.0.1:80/path"],
)  # fmt: skip
def test_what_is_on_this_machine(url: str) -> None:
    assert on_loopback(url)


@pytest.mark.parametrize(
    "url",
    [None, "", "https://lambda.eu-central-1.amazonaws.com", "http://localhost.example",
     "http://10.0.0.1", "http://example/127.0.0.1", "http://127.0.0.1@example", "127.0.0.1:9001",
     "http://127.0.0.1.example"],
)  # fmt: skip
def test_what_is_not(url: str | None) -> None:
    assert not on_loopback(url)
