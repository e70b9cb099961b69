"""How long the page takes to answer, on a million scores.

    make bench-page                (about two minutes, 1 GB of disk under the temporary folder)

The data of `make bench-analysts`, in smaller number. The application is served by uvicorn on
loopback, as `sentiment-worker dashboard` does, and asked over HTTP, one request after another, with
the analyst's role: six times each page; the first is shown as cold, of the others the median. What
is timed is the whole answer; charts are requests of their own, drawn in another process.
"""

from __future__ import annotations

import http.client
import os
import platform
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tests.benchmarks.analysts import prepare
from worker import log
from worker.dashboard.app import application
from worker.local import postgres
from worker.store import database, migrate, roles
from worker.web.guard import AccessRules

TIMES = 6
WANTED_MS = 150

PAGES = (
    *("/", "/?source=source+3", "/?since=2025-01-01&until=2025-12-31", "/sources/source%203"),
    *("/days/2025-07-01", "/records/5000", "/search", "/search?words=word400"),
    *("/search?words=word49123", "/search?words=word30+word45&source=source+3"),
    *("/search?label=negative", "/search?order=most-negative", "/work", "/quarantine"),
    *("/api/v1/summary", "/api/v1/trend", "/api/v1/compare?by=product", "/api/v1/records"),
)
CHARTS = ("trend", "compared", "shares", "distribution", "calendar", "agreement")


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    log.configure(level="error")
    print(__doc__)
    print(f"{platform.platform()}, {os.cpu_count()} cores; {records:,} scores")
    with tempfile.TemporaryDirectory(prefix="sentiment-pages-") as home:
        Path(home).chmod(0o755)
        with postgres.running(Path(home)) as url:
            engine = database.make_engine(url, application="benchmark")
            migrate.upgrade(engine)
            prepare(engine, records)
            asking = database.read_only(engine, timeout_s=10, role=roles.ANALYST)
            with _served(application(asking, AccessRules())) as port:
                slow = [path for path in PAGES if _ask(port, path) > WANTED_MS]
                print("\ncharts: drawn anew (dark) after one that warmed the process, and kept")
                for name in CHARTS:
                    _chart(port, name)
            engine.dispose()
    print(f"\nslower than {WANTED_MS} ms: {', '.join(slow) or 'none'}")


@contextmanager
def _served(app: object) -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", ws="none")  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def _ask(port: int, path: str) -> float:
    first, *others = [_time(port, path) for _ in range(TIMES)]
    median = statistics.median(others)
    print(f"{path}: {median:.0f} ms (cold {first:.0f})")
    return median


def _chart(port: int, name: str) -> None:
    _time(port, f"/charts/{name}.svg")
    drawn = _time(port, f"/charts/{name}.svg?dark=true")
    kept = _time(port, f"/charts/{name}.svg?dark=true")
    print(f"{name}: {drawn:.0f} ms, kept {kept:.0f} ms")


def _time(port: int, path: str) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200, (path, answer.status)
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
