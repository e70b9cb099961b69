"""Reading an API: how close to its own pace, and in how much memory.

    python -m tests.benchmarks.web     (two minutes)

A server on this machine holds back each page for 100 ms; the second one answers at once with
5,000 records a page. Reading alone: nothing is stored or scored.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from tests.web_api import Asked, WebApi
from worker.sources.http import HttpSourceConfig
from worker.sources.web.api import HttpSource

PAGES = 200
PAUSE_S = 0.1
RECORDS = 1_000_000
KINDS = {
    "cursor": {"url": "desk", "records": "tickets", "next": "meta.after_cursor"},
    "offset": {"url": "plain"},
    "page": {"url": "site", "records": "reviews"},
    "link": {"url": "forum"},
}


def main() -> None:
    if len(sys.argv) > 1:
        _read_many(sys.argv[1], int(sys.argv[2]))
        return
    print(__doc__)
    for pagination in KINDS:
        with WebApi(page_size=100) as api:
            api.put({n: f"text {n}" for n in range(PAGES * 100)})
            api.hurdle = _slowly
            seconds = _seconds(api, pagination)
            asked = [each.path + "?" + urlencode(each.query) for each in api.asked]
            bare = _bare(api, asked)
        print(
            f"  {pagination}: {len(asked)} requests of 100 records in {seconds:.2f} s,"
            f" {bare / seconds:.1%} of the pace of asking alone, {bare:.2f} s (wanted 95 %)"
        )
    with WebApi(page_size=5_000) as api:
        api.put({n: f"text {n} with some more words" for n in range(RECORDS)})
        for count in (50_000, RECORDS):
            said = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.web", api.url("desk"), str(count)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            print(f"  {said.stdout.strip()}")


def _slowly(asked: Asked, n: int) -> None:
    time.sleep(PAUSE_S)


def _config(url: str, pagination: str) -> HttpSourceConfig:
    about = KINDS[pagination] | {"name": "bench", "pagination": pagination, "url": url}
    return HttpSourceConfig.model_validate(about | {"time": "time", "allow_private": ["127.0.0.1"]})


def _seconds(api: WebApi, pagination: str) -> float:
    started = time.perf_counter()
    config = _config(api.url(KINDS[pagination]["url"]), pagination)
    count = sum(len(page.records) for page in HttpSource(config).pages({}))
    assert count == PAGES * 100, count
    return time.perf_counter() - started


def _bare(api: WebApi, asked: list[str]) -> float:
    """The same requests on one connection, whose answers nobody looks at."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(api.url("")).port)
    started = time.perf_counter()
    for path in asked:
        connection.request("GET", path)
        connection.getresponse().read()
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def _read_many(url: str, limit: int) -> None:
    """In a process of its own, for its memory."""
    started, count = time.perf_counter(), 0
    for page in HttpSource(_config(url, "cursor")).pages({}):
        count += len(page.records)
        if count >= limit:
            break
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text()  # getrusage counts the parent's before the exec
    peak = int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024  # type: ignore[index]
    print(f"{count:,} records: {count / seconds:,.0f} a second, {peak:.0f} MB at most (wanted 100)")


if __name__ == "__main__":
    main()
