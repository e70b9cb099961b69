"""Where a request may go: not into this network, unless the source names the host.

A URL in a configuration, a redirect or a `next` link could lead to a service that trusts whoever
reaches it, such as the metadata of a cloud's machine. So each host is resolved once, its addresses
are judged, and the address that was judged is the one that is connected to: a name that means
another address a moment later (DNS rebinding) gains nothing.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import ipaddress
import math
import socket
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import httpcore2
import httpx2

from worker.errors import ConfigurationError

INSIDE = tuple(
    map(
        ipaddress.ip_network,
        # Site-local, IPv4 written as IPv6 in old ways, NAT64 of a network's own; Azure's services
        # for its machines: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
        ("fec0::/10", "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "168.63.129.16/32"),
    )
)


class Unsafe(Exception):
    """The host is, or means, an address inside this network."""


Resolve = Callable[..., Sequence[Any]]
"""As `socket.getaddrinfo`."""


def judged(
    host: str, port: int, allowed: Collection[str], resolve: Resolve = socket.getaddrinfo
) -> str:
    """An address of a host that may be connected to. Raises Unsafe, and OSError where the name
    means nothing. One inside address condemns the name: which of them is taken is chance."""
    found = resolve(host, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]).partition("%")[0] for each in found]
    if host.lower() not in allowed and not all(map(is_public, addresses)):
        raise Unsafe(host)
    return addresses[0]


def is_public(address: str) -> bool:
    """Is it an address of the internet, and of no special use? Also behind IPv6's ways to write
    IPv4. https://www.iana.org/assignments/iana-ipv4-special-registry/"""
    ip: Any = ipaddress.ip_address(address)
    if any(ip in network for network in INSIDE if network.version == ip.version):
        return False
    if ip.version == 6:
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        nat64 = ip in ipaddress.ip_network("64:ff9b::/96")
        inner = ipaddress.ip_address(int(ip) & 0xFFFFFFFF) if nat64 else inner
        if inner is not None:
            return is_public(str(inner))
    return bool(ip.is_global and not ip.is_multicast)


class Transport(httpx2.HTTPTransport):
    """One connection at a time, to judged addresses alone; no proxy, no cookies, TLS verified by
    the host's name."""

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(trust_env=False)
        self._backend = Judging(allowed)
        self._pool.close()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=1,
            keepalive_expiry=30.0,
            network_backend=self._backend,
        )

    def end_in(self, seconds: float) -> None:
        """The request that follows takes no longer, headers and body, however slowly they drip."""
        self._backend.deadline = time.monotonic() + seconds


class Judging(httpcore2.SyncBackend):
    """Connects to judged addresses alone."""

    def __init__(self, allowed: Collection[str], resolve: Resolve = socket.getaddrinfo) -> None:
        self._allowed = {host.lower() for host in allowed}
        self._resolve = resolve
        self.deadline = math.inf
        """By the monotonic clock, of all reading."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            address = judged(host, port, self._allowed, self._resolve)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(str(error)) from error
        stream = super().connect_tcp(address, port, timeout, local_address, socket_options)
        return Bounded(stream, self)

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        raise Unsafe("a socket of this machine")


class Bounded(httpcore2.NetworkStream):
    """A connection whose reads all end by a deadline: a timeout of each alone lets a server that
    sends a byte a second go on for ever."""

    def __init__(self, stream: httpcore2.NetworkStream, by: Judging) -> None:
        self._stream = stream
        self._by = by

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._by.deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the answer has no end")
        if not math.isinf(left):
            timeout = left if timeout is None else min(timeout, left)
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *arguments: Any, **named: Any) -> httpcore2.NetworkStream:
        return Bounded(self._stream.start_tls(*arguments, **named), self._by)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def refusal(host: str, source: str) -> ConfigurationError:
    """What to say of a host that is inside."""
    return ConfigurationError(
        f"The source {source!r} leads to {host}, an address inside this network.",
        hint=f'If that is meant, allow it by name: allow_private = ["{host}"].',
    )
