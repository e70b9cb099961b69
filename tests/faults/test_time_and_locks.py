"""Clocks that jump, writers that cross each other, migrations under load, and long runs."""

from __future__ import annotations

import re
import statistics
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import libfaketime
import pytest

from tests.faults.conftest import Note, Scale
from tests.faults.soak import Soak
from tests.faults.world import Workers, World
from tests.make import record
from worker import chunk
from worker.records import Lane, Page
from worker.schedule import Schedule
from worker.store import database, migrate
from worker.store.journal.journal import PostgresJournal
from worker.store.ledger.runs import PostgresLedger

pytestmark = pytest.mark.timeout(3600)


def test_clocks_that_jump(world: World, scale: Scale, note: Note) -> None:
    clock = world.shell.folder / "clock"
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    world.shell.variables |= {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        # Read each second, and not for each stat(): with no cache the worker's imports took 13 s
        # and its heartbeat missed whole leases, whatever the clock said.
        "FAKETIME_CACHE_DURATION": "1",
        "NO_FAKE_STAT": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    world.configure("review")
    jumps = ("+3600", "+0", "-3600") * scale.of(1, 5)
    world.endpoint.latency_s = 0.3
    _set(clock, "+0")
    with Workers(world, 2), world.writers(1, rows=10**9, pause_s=0.5):
        world.wait_until(lambda: bool(world.rows("SELECT 1 FROM sentiment.run")))
        for jump in jumps:
            _set(clock, jump)
            time.sleep(scale.of(4, 5))
    world.endpoint.latency_s = 0.0
    del world.shell.variables["LD_PRELOAD"]
    runs = world.rows(
        "SELECT started_at, finished_at FROM sentiment.run WHERE state <> 'missed' ORDER BY id"
    )
    done = [(a, b) for a, b in runs if b is not None]
    longest = max(b[0] - a[0] for a, b in pairwise(done))
    overlaps = _overlaps(world)
    world.settle()
    truth = world.truth("review")
    note(
        "13",
        f"two schedulers, every second; the clock set on and back by an hour, {len(jumps)} times",
        f"longest gap between runs {longest.total_seconds():.1f} s, {overlaps} overlaps; {truth}",
        "no run missed, none overlapping",
    )
    assert _hours_seen(world) >= 3, "the workers' clocks did not jump"
    assert longest < timedelta(seconds=6)
    assert overlaps == 0
    assert truth.clean


def test_the_harness_sees_two_runs_at_once(world: World, note: Note) -> None:
    world.configure("review")
    world.endpoint.latency_s = 0.3
    prefix = [sys.executable, "-m", "tests.faults.controls", "no_lock"]
    with Workers(world, 2, prefix=prefix), world.writers(1, rows=10**9, pause_s=0.2):
        world.wait_until(lambda: _overlaps(world) > 0)
    note(
        "6",
        "negative control: no_lock",
        f"found: {_overlaps(world)} overlaps",
        "the harness fails it",
    )


def _overlaps(world: World) -> int:
    """Runs of a source that began before another had ended. A run that takes another's place says
    that the other was lost; here nobody dies. A missed time is a row, and no run."""
    ((count,),) = world.rows(
        "WITH ran AS (SELECT * FROM sentiment.run WHERE state <> 'missed')"
        " SELECT count(*) FROM ran a WHERE state = 'lost' OR EXISTS ("
        " SELECT FROM ran b WHERE b.source_id = a.source_id AND b.id > a.id"
        " AND b.started_at < a.finished_at)"
    )
    return int(count)


def _hours_seen(world: World) -> int:
    """In how many different hours the workers wrote log lines."""
    log = world.config.with_suffix(".log").read_text()
    return len(set(re.findall(r'"timestamp": "([0-9-]+T[0-9]{2})', log)))


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
def test_a_year_with_two_changes_of_the_clock(
    zone: str, note: Note, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        fired = Schedule("30 2 * * *").next(datetime(2026, 1, 1, tzinfo=UTC), 366)
        there = Schedule("30 2 * * *", zone=ZoneInfo(zone))
        local = there.next(datetime(2025, 12, 31, 23, 59, tzinfo=ZoneInfo(zone)), 366)
    finally:
        monkeypatch.undo()
        time.tzset()
    fired = [at for at in fired if at.year == 2026]
    note("13", f"a year of '30 2 * * *' on a machine in {zone}", f"{len(fired)} runs", "365 runs")
    assert len(fired) == 365
    assert {b - a for a, b in pairwise(fired)} == {timedelta(days=1)}
    days = [at.astimezone(ZoneInfo(zone)).date() for at in local]
    days = [day for day in days if day.year == 2026]
    note("13", f"the same line in the zone {zone}", f"{len(set(days))} days", "365 days, once each")
    assert len(days) == len(set(days)) == 365


def test_writers_that_cross_each_other(world: World, scale: Scale, note: Note) -> None:
    rounds, errors = scale.of(15, 200), []
    engine = database.make_engine(world.url, application="tests", pool_size=10)
    planner = chunk.plan

    def write(number: int) -> None:
        ledger = PostgresLedger(engine, worker=f"w{number}", patience_s=5)
        source_id = ledger.source_id("crossing", "file")
        run_id = ledger.start(Lane(source_id), "once")
        journal = PostgresJournal(engine, worker=f"w{number}", lease_s=60, patience_s=0.1)
        keys = [str(n) for n in range(200)]
        for version in range(rounds):
            shuffled = keys[version % 200 :] + keys[: version % 200]
            order = shuffled if number % 2 else shuffled[::-1]
            records = [record(key, f"{key} by {number} in {version}") for key in order]
            try:
                journal.ingest(
                    source_id,
                    run_id,
                    [(Page(f"p{number}", {}, records), version)],
                    lambda items: planner(items, max_items=50, max_bytes=1 << 20),
                )
            except Exception as error:  # noqa: BLE001  whatever it is, it counts
                errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((deadlocks,),) = world.rows(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    engine.dispose()
    note(
        "14",
        f"8 writers upsert the same 200 keys in different orders, {rounds} times each",
        f"{deadlocks} deadlocks, {len(errors)} errors",
        "no deadlock",
    )
    assert not errors
    assert deadlocks == 0


def test_migrations_under_load(world: World, scale: Scale, note: Note) -> None:
    """Each step up from the first, with a reader that keeps a transaction open for six seconds, and
    a probe that writes what a worker writes."""
    engine = database.make_engine(world.url, application="tests")
    world.fill(scale.of(5_000, 100_000))
    world.settle(patience_s=600)
    stop, stalls = threading.Event(), [0.0]

    def probe() -> None:
        with world.connect() as connection:
            while not stop.is_set():
                started = time.monotonic()
                with connection.transaction(force_rollback=True):
                    connection.execute("UPDATE sentiment.record SET author = 'x' WHERE id = 1")
                    connection.execute("UPDATE sentiment.run SET heartbeat_at = now() WHERE id = 1")
                    connection.execute("UPDATE sentiment.chunk SET attempts = 0 WHERE id = 1")
                stalls.append(time.monotonic() - started)
                time.sleep(0.02)

    def read() -> None:
        with world.connect() as connection, connection.transaction():
            connection.execute("SELECT count(*) FROM sentiment.record")
            connection.execute("SELECT count(*) FROM sentiment.run")
            time.sleep(6)

    migrate.downgrade(engine, "0003")
    threads = [threading.Thread(target=probe), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    done = world.shell("db", "upgrade")
    assert done.code == 0, done.err
    stop.set()
    for thread in threads:
        thread.join()
    engine.dispose()
    world.settle()
    truth = world.truth()
    note(
        "15",
        "db upgrade beside what a worker writes and a reader whose transaction is open for 6 s",
        f"longest stall of a write {max(stalls):.2f} s; {truth}",
        "no write stalls for 2.5 s",
    )
    assert max(stalls) < 2.5
    assert truth.clean


def test_a_long_run(soak: Soak, scale: Scale, note: Note) -> None:
    """With --full it has been running since the first test began."""
    while soak.seconds < scale.of(9, 1_500):
        time.sleep(0.5)
    slope, share = soak.slope(), soak.dead_share()
    descriptors = [sample.descriptors for sample in soak.settled()]
    note(
        "16",
        f"{soak.seconds:,.0f} s of serve with writers",
        f"memory {slope:+.1f} MB an hour at {soak.settled()[-1].resident_mb:.0f} MB, descriptors"
        f" {min(descriptors)} to {max(descriptors)}, dead tuples of chunk {share:.0%}",
        "under 1 MB an hour, flat, under 20 %",
    )
    assert max(descriptors) - min(descriptors) <= 12, "they come and go, and do not grow"
    assert statistics.mean(descriptors[-20:]) <= statistics.mean(descriptors[:20]) + 2
    if scale.full:
        assert slope < 1.0
        assert share < 0.20


def _set(clock: Path, offset: str) -> None:
    aside = clock.with_suffix(".new")
    aside.write_text(f"{offset}\n")
    aside.rename(clock)
