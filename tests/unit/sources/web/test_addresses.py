"""Where a request may go."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from worker.errors import ConfigurationError, SourceUnavailable
from worker.sources.web.addresses import Judging, Unsafe, is_public, judged
from worker.sources.web.client import Asking, Client, require_web, shown


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.5.5", "169.254.169.254", "0.0.0.0",
     "100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1",
     "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1"],
)  # fmt: skip
def test_an_address_of_special_use_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_an_address_of_the_internet_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"])
def test_every_way_to_write_this_machine_is_refused(host: str) -> None:
    with pytest.raises((Unsafe, OSError)):
        judged(host, 80, ())


def test_a_host_that_is_named_may_be_inside() -> None:
    assert judged("127.0.0.1", 80, ("127.0.0.1",)) == "127.0.0.1"
    with pytest.raises(Unsafe):
        judged("127.0.0.1", 80, ("localhost",))


def test_the_client_refuses_and_says_what_to_do() -> None:
    client = Client(Asking("s"))
    with pytest.raises(ConfigurationError, match="inside this network") as refused:
        client.ask("http://127.0.0.1:9/x?key=hunter2")
    assert 'allow_private = ["127.0.0.1"]' in refused.value.hint
    assert "hunter2" not in f"{refused.value}{refused.value.hint}"
    client.close()


def test_what_was_judged_is_what_is_connected_to() -> None:
    """A name that would mean another address a moment later is asked for once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        meanings = iter(["127.0.0.1", "127.0.0.99"])

        def resolve(host: str, port: int, **_: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(meanings), port))]

        stream = Judging(["api.example"], resolve).connect_tcp("api.example", port, timeout=2)
        assert stream.get_extra_info("socket").getpeername() == ("127.0.0.1", port)
        stream.close()
        meanings = iter(["127.0.0.1"])
        with pytest.raises(Unsafe):
            Judging([], resolve).connect_tcp("api.example", port, timeout=2)


def test_one_inside_address_among_several_condemns_a_name() -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", ("8.8.8.8", port)), (0, 0, 0, "", ("10.0.0.1", port))]

    with pytest.raises(Unsafe):
        judged("api.example", 443, (), resolve)


@pytest.mark.parametrize(
    ("url", "was"),
    [("file:///etc/passwd", ""), ("ftp://example.org/x", ""), ("http:///x", ""),
     ("https://ada:hunter2@example.org/", ""), ("http://example.org/", "https://example.org/")],
)  # fmt: skip
def test_what_is_no_safe_address_of_the_web_is_refused(url: str, was: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        require_web(url, "s", was=was)
    assert "hunter2" not in str(refused.value)


def test_a_key_in_an_address_is_not_shown() -> None:
    assert shown("https://a.example:8443/v1/x?api_key=hunter2#f") == "https://a.example:8443/v1/x"


def test_a_name_that_means_nothing_may_mean_something_later() -> None:
    client = Client(Asking("s", tries=1))
    with pytest.raises(SourceUnavailable, match="does not answer"):
        client.ask("http://no-such-host.invalid/")
    client.close()
