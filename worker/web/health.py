"""`/livez`, `/readyz` and `/metrics`: three small answers, in a thread of their own.

Liveness is the event loop's pulse and nothing else: a supervisor that restarts a worker because
AWS or the database is away makes nothing better. Readiness means that the database answers and
work moves.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from worker.errors import Stuck, WorkerError
from worker.log import get_logger

log = get_logger(__name__)

PULSE_S = 1.0
DEAD_AFTER_S = 30.0
"""Without a pulse for so long the event loop hangs."""

_TEXT = (("Content-Type", "text/plain; charset=utf-8"),)


class Pulse:
    """Says how long ago the event loop was alive."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    async def beat(self) -> None:
        while True:
            self._last = time.monotonic()
            await asyncio.sleep(PULSE_S)

    def age_s(self) -> float:
        return time.monotonic() - self._last


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds that a request may take to arrive: each has a thread and a descriptor

    def log_message(self, *arguments: Any) -> None:
        """Probes come every few seconds; nobody wants to read them."""


def application(
    pulse: Pulse, ready: Callable[[], None], registry: CollectorRegistry
) -> Callable[..., Iterable[bytes]]:
    """The WSGI application. `ready` raises Stuck while work does not move, and another WorkerError
    while the database does not answer."""
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start)
            return found
        status, words = "404 Not Found", "there is /livez, /readyz and /metrics"
        if path == "/livez":
            alive = pulse.age_s() < DEAD_AFTER_S
            status, words = ("200 OK", "alive") if alive else _unavailable("the event loop hangs")
        elif path == "/readyz":
            status, words = _readiness(ready)
        start(status, list(_TEXT))  # a new one each time: the server adds Content-Length to it
        return [f"{words}\n".encode()]

    return answer


def _readiness(ready: Callable[[], None]) -> tuple[str, str]:
    try:
        ready()
    except Stuck as error:
        return _unavailable(str(error))
    except WorkerError as error:
        # Its class, not its text: that may name hosts.
        return _unavailable(f"the database does not answer ({type(error).__name__})")
    return "200 OK", "ready"


def _unavailable(words: str) -> tuple[str, str]:
    return "503 Service Unavailable", words


@contextmanager
def serving(address: str, app: Callable[..., Iterable[bytes]]) -> Iterator[str | None]:
    """Answer at "host:port" until the end; gives the URL, or None where the port is taken: a
    second worker on a machine is no reason not to work."""
    host, _, port = address.rpartition(":")
    try:
        server = make_server(host, int(port), app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        log.warning("health.not_served", address=address, error=error.strerror)
        yield None
        return
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
