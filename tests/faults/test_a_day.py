"""A day of `serve` in minutes: each time of each schedule has a run, or a row that says why not."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from tests.faults.conftest import Note, Scale
from tests.faults.endpoint import FaultyLambda
from tests.faults.fast import Clock, FastServer
from tests.faults.world import Workers, World, make_template

pytestmark = pytest.mark.timeout(3600)

FACTOR = 240
"""Four hours a minute. A run takes 0.1 s, so half a minute of this clock: a source of every minute
just keeps up."""

BEGIN = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
"""An hour and a half before Berlin's clocks are set back; the worker's machine stands there."""

SCHEDULES = {"review": "* * * * *", "other": "*/15 * * * *", "nightly": "0 1 * * *"}
"""In UTC, as all schedules are."""


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    with tempfile.TemporaryDirectory(prefix="sentiment-day-") as folder:
        Path(folder).chmod(0o755)
        yield Clock(Path(folder), BEGIN, FACTOR)


@pytest.fixture
def fast(clock: Clock, rng: Random, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="sentiment-day-"))
        Path(home).chmod(0o755)
        server = stack.enter_context(FastServer(Path(home), clock))
        make_template(server)
        endpoint = stack.enter_context(FaultyLambda(rng))
        world = stack.enter_context(World(server, tmp_path, endpoint, rng))
        _configure(world)
        yield world


def _configure(world: World) -> None:
    with world.connect() as connection:
        connection.execute("CREATE TABLE public.nightly (LIKE public.review INCLUDING ALL)")
    world.config.write_text(
        "".join(
            f'[[source]]\nname = "{table}"\nkind = "sql"\ntable = "{table}"\n'
            f'url = "{world.url}&connect_timeout=600"\n'
            f'id = "id"\ntext = "body"\ncursor = "tx"\nschedule = "{schedule}"\n'
            for table, schedule in SCHEDULES.items()
        ),
        encoding="utf-8",
    )
    world.fill(50, "nightly")


def _start(world: World, clock: Clock) -> Workers:
    """Patience in seconds is as many milliseconds by the other clock."""
    world.shell.variables |= clock.variables() | {
        "TZ": "Europe/Berlin",
        "LAMBDA_TIMEOUT": "600",
        "SENTIMENT_LEASE": "30m",
        "SENTIMENT_GRACE": "10m",
    }
    prefix = [sys.executable, "-m", "tests.faults.fast", str(FACTOR)]
    return Workers(world, 1, prefix=prefix)


def test_a_day_of_serve(fast: World, clock: Clock, scale: Scale, note: Note) -> None:
    minutes = scale.of(105, 24 * 60)
    sizes: list[tuple[float, int]] = []
    with _start(fast, clock) as workers, fast.writers(1, rows=10**9, pause_s=0.4):
        fast.wait_until(lambda: bool(fast.rows("SELECT 1 FROM sentiment.run")))
        begin, watched = clock.now(), psutil.Process(workers.pids[0])
        while clock.now() < BEGIN + timedelta(minutes=minutes):
            sizes.append((watched.memory_info().rss / 2**20, watched.num_fds()))
            time.sleep(0.25)
        end = clock.now()
    unexplained, missed = _unexplained(fast, begin, end - timedelta(minutes=5))
    runs = fast.count("sentiment.run WHERE state <> 'missed' AND trigger = 'schedule'")
    overlaps, (memory, descriptors) = _overlaps(fast), _growth(sizes)
    note(
        "19",
        f"{minutes} minutes of serve at {FACTOR} times the speed; every minute, every quarter of an"
        " hour, at 1",
        f"{runs} runs, {missed} times passed over with a reason, {len(unexplained)} without,"
        f" {overlaps} overlaps; memory {memory:+.1f} MB, descriptors {descriptors:+d}",
        "each time has a run or a reason; no overlap; flat",
    )
    assert not unexplained, unexplained[:10]
    assert overlaps == 0
    assert runs > minutes / 4, "it kept up with every fourth minute at least"
    nightly = (
        f"{_RUNS} AND name = 'nightly' AND state <> 'missed' AND due_at >= '2026-10-25 00:30Z'"
    )
    assert [due for _, _, due, _ in fast.rows(nightly)] == [datetime(2026, 10, 25, 1, tzinfo=UTC)]
    assert memory < 10
    assert descriptors <= 12


def test_a_machine_that_sleeps_during_a_run(fast: World, clock: Clock, note: Note) -> None:
    """A laptop is closed, a virtual machine paused: the times meanwhile have their reason too."""
    with _start(fast, clock) as workers:
        fast.wait_until(lambda: fast.count("sentiment.run WHERE state = 'done'") > 5)
        begin = clock.now()
        fast.endpoint.latency_s = 0.5
        fast.fill(20)
        fast.wait_until(lambda: fast.endpoint.log[-1][0] > time.monotonic() - 0.1)
        workers.signal(0, signal.SIGSTOP)
        time.sleep(3)
        workers.signal(0, signal.SIGCONT)
        fast.endpoint.latency_s = 0.0
        time.sleep(3)
        end = clock.now()
    unexplained, missed = _unexplained(fast, begin, end - timedelta(minutes=5))
    note(
        "19",
        "serve asleep for 12 minutes of its clock in the middle of a run",
        f"{missed} times passed over with a reason, {len(unexplained)} without",
        "each time has a run or a reason",
    )
    assert not unexplained, unexplained[:20]


_RUNS = (
    "SELECT name, state, due_at, error FROM sentiment.run JOIN sentiment.source s"
    " ON s.id = source_id WHERE trigger = 'schedule'"
)


def _unexplained(world: World, begin: datetime, end: datetime) -> tuple[list[Any], int]:
    """Times with neither a run nor a row that counts them in, and how many rows count in."""
    rows = world.rows(_RUNS)
    minutes = _minutes(BEGIN - timedelta(hours=1), end)
    due: dict[str, list[datetime]] = {
        "review": minutes,
        "other": [at for at in minutes if at.minute % 15 == 0],
        "nightly": [at for at in minutes if (at.hour, at.minute) == (1, 0)],
    }
    found, excused = [], 0
    for source, every in due.items():
        times = [at for at in every if begin < at]
        explained = {at for name, state, at, _ in rows if name == source and state != "missed"}
        for name, state, at, error in rows:
            if name == source and state == "missed":
                count = int(error.split(" ", 1)[0].replace(",", ""))
                later = [each for each in every if each >= at]
                explained |= set(later[:count])
                excused += count
        found += [(source, at) for at in times if at not in explained]
    return found, excused


def _minutes(begin: datetime, end: datetime) -> list[datetime]:
    return [begin + timedelta(minutes=n) for n in range((end - begin) // timedelta(minutes=1) + 1)]


def _growth(sizes: list[tuple[float, int]]) -> tuple[float, int]:
    """From the second quarter to the last: memory in MB, descriptors."""
    quarter = len(sizes) // 4
    early, late = sizes[quarter : 2 * quarter], sizes[-quarter:]
    median = [
        [sorted(size[n] for size in part)[len(part) // 2] for n in (0, 1)] for part in (early, late)
    ]
    return median[1][0] - median[0][0], int(median[1][1] - median[0][1])


def _overlaps(world: World) -> int:
    """Runs of a source that began before the one before had ended, or was heard of last. Waits of
    seconds are milliseconds here, so on a busy machine a run may lose the database and be lost."""
    ((count,),) = world.rows(
        "WITH ran AS (SELECT * FROM sentiment.run WHERE state <> 'missed')"
        " SELECT count(*) FROM ran a WHERE EXISTS ("
        " SELECT FROM ran b WHERE b.source_id = a.source_id AND b.id > a.id"
        " AND b.started_at < a.finished_at)"
    )
    return int(count)
