"""Processes, database and wire are harmed; every row of the source is accounted for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.faults import controls, mix
from tests.faults.conftest import Note, Scale
from tests.faults.endpoint import FaultyLambda
from tests.faults.proxy import PostgresProxy
from tests.faults.server import Server
from tests.faults.world import Truth, Workers, World
from tests.scripted_lambda import aws_error, function_error
from worker import crashpoint
from worker.store import database

pytestmark = pytest.mark.timeout(3600)


def test_random_kills(world: World, scale: Scale, note: Note) -> None:
    kills, rows = scale.of(7, 500), scale.of(1_000, 25_000)
    world.endpoint.faults = mix.MIX
    pause_s = 0.5 if kills < 100 else 2.0  # they write as long as there is killing
    with Workers(world, 2) as workers, world.writers(3, rows=rows, pause_s=pause_s) as writers:
        while workers.kills < kills or not writers.finished:
            time.sleep(world.rng.uniform(0.1, 2.5))
            workers.kill(world.rng.randrange(2))
    world.settle()
    truth = world.truth()
    note(
        "1",
        f"{workers.kills} random kill -9 of 2 workers, 3 writers that commit late or roll back,"
        " the fault mix",
        f"{truth}; sent {world.sent_per_text():.2f} times",
        "0/0/0, at most 1.5 times",
    )
    assert truth.clean, truth
    # The mix alone makes it 1.26; of 1,500 records a kill sends many again, of 25,000 few.
    assert world.sent_per_text() <= (1.5 if scale.full else 1.7)
    assert world.endpoint.calls["throttle"] > 0


def test_a_crash_at_each_point(
    server: Server, tmp_path: Path, scale: Scale, rng: Random, note: Note
) -> None:
    times = scale.of(1, 3)

    def crashed(point: str) -> Truth:
        with FaultyLambda(Random(point)) as endpoint:
            folder = tmp_path / point
            folder.mkdir()
            with World(server, folder, endpoint, rng) as world:
                return _crash_at(world, point, times)

    with ThreadPoolExecutor(2) as pool:
        truths = dict(zip(crashpoint.POINTS, pool.map(crashed, crashpoint.POINTS), strict=True))
    wrong = {point: str(truth) for point, truth in truths.items() if not truth.clean}
    note(
        "2",
        f"a crash at each of the {len(truths)} named points, {times} times each",
        f"{len(truths) - len(wrong)} points: 0 lost, 0 doubled, 0 invented, 0 stale",
        "every point, 0/0",
    )
    assert not wrong


def _crash_at(world: World, point: str, times: int) -> Truth:
    world.configure("review")
    for nth in range(1, times + 1):
        _provoke(world, point)
        world.fill(300)
        # The other thread's world is on the same server: while it writes, what was committed after
        # it began is not read yet (rightly), and a run might find nothing to crash at.
        world.wait_until(partial(world.is_readable, "review"))
        passes = nth if point.startswith("call.") else 1  # the others a run may pass but once
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.crashing", "kill", point, str(passes), "once",
             "--config", world.config],
            env=world.shell.variables | {"PYTHONPATH": str(Path.cwd())},
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, f"{point} was not passed: {done.stderr!r}"
        world.settle()
        if not (truth := world.truth("review")).clean:
            break
    return truth


def _provoke(world: World, point: str) -> None:
    """Make the Lambda behave so that the point is passed."""
    if point in ("claim.before_commit", "claim.committed", "split.before_commit"):
        # One text that cannot be scored in company: its chunk is retried, then split.
        world.endpoint.script = lambda request: (
            function_error()
            if len(request["texts"]) > 1 and any(t.startswith("text 7 ") for t in request["texts"])
            else None
        )
    elif point == "park.judged":
        world.endpoint.script = lambda request: aws_error(403, "AccessDeniedException")


def test_postgresql_crashes(world: World, scale: Scale, note: Note) -> None:
    crashes, longest = scale.of(3, 50), 0.0
    world.endpoint.faults = mix.MIX
    with Workers(world, 2) as workers, world.writers(3, rows=scale.of(1_000, 15_000)) as writers:
        for _ in range(crashes):
            time.sleep(world.rng.uniform(0.5, 4.0))
            longest = max(longest, world.server.crash())
            workers.revive()
        while not writers.finished:
            time.sleep(0.2)
            workers.revive()
    world.settle()
    truth = world.truth()
    note(
        "3",
        f"PostgreSQL stopped with -m immediate {crashes} times during the runs",
        f"answers {longest:.1f} s after its restart at the latest; {truth}",
        "back within 5 s, 0/0",
    )
    assert truth.clean, truth
    assert longest <= 5.0


def freeze(world: World, workers: Workers, times: int) -> None:
    """Every other time past its lease, with an answer in its hand (it stops itself there); else
    for a moment, at any moment."""
    for n in range(times):
        if n % 2:
            time.sleep(world.rng.uniform(0.3, 1.0))
            workers.signal(n // 2 % 2, signal.SIGSTOP)
            time.sleep(world.rng.uniform(0.2, 1.0))
        else:
            lost = _lost_runs(world)
            victim = workers.wait_for_one_stopped()
            world.wait_until(partial(_is_taken_over, world, workers, victim, lost))
            time.sleep(1.0)  # the other scores what it took over
        workers.thaw()


def _is_taken_over(world: World, workers: Workers, victim: int, lost: int) -> bool:
    """Also one that stopped itself with the late answer of a run that was taken over before."""
    workers.thaw(but=victim)  # the other stops itself too, now and then
    running = f"sentiment.run WHERE state = 'running' AND worker LIKE '%-{workers.pids[victim]}-%'"
    return _lost_runs(world) > lost or not world.count(running)


def _lost_runs(world: World) -> int:
    return world.count("sentiment.run WHERE state = 'lost'")


def _fenced(world: World) -> int:
    return sum(n for (n,) in world.rows("SELECT fenced FROM sentiment.run"))


def test_a_frozen_worker(world: World, scale: Scale, note: Note) -> None:
    times = scale.of(2, 40)
    prefix = [sys.executable, "-m", "tests.faults.crashing", "stop", *map(str, controls.STOP_AT)]
    with Workers(world, 2, prefix=prefix) as workers, world.writers(3, rows=10**9, pause_s=0.3):
        freeze(world, workers, times)
        # A sleeper whose next heartbeat comes before its answer gives up without trying to write.
        while not _fenced(world) and times < scale.of(12, 60):
            freeze(world, workers, 1)
            times += 1
        time.sleep(2)
        workers.thaw()
        fenced = _fenced(world)
    world.settle()
    truth = world.truth()
    note(
        "4",
        f"a worker frozen (SIGSTOP) {times} times, half of them past its lease, then thawed",
        f"{truth}; {fenced} late settlements refused by the fence",
        "no stale write, and the fence counter above 0",
    )
    assert truth.clean, truth
    assert fenced > 0


def test_lost_replies_to_commit(
    world: World, server: Server, scale: Scale, rng: Random, note: Note
) -> None:
    wanted = scale.of(6, 200)
    world.configure("review")
    url = database.normalise_url(world.url)
    with PostgresProxy(server.socket, rng) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port, query={})
        proxied = through.render_as_string(hide_password=False)
        while proxy.lost < wanted:
            world.fill(600)
            proxy.lose = 0.3
            world.once(DATABASE_URL=proxied, SENTIMENT_DATABASE_PATIENCE="60s")
        lost = proxy.lost
    world.settle()
    truth = world.truth("review")
    note("5", f"the reply to COMMIT lost {lost} times", str(truth), "0/0")
    assert truth.clean, truth
    # Each text went out once: a page or a settlement whose reply was lost is recognised.
    assert world.sent_per_text() <= 1.1


@pytest.mark.parametrize("control", ["id_cursor", "cursor_first", "no_fence"])
def test_the_harness_fails_a_broken_worker(world: World, control: str, note: Note) -> None:
    prefix = [sys.executable, "-m", "tests.faults.controls", control]
    if control == "id_cursor":
        world.configure(cursor='cursor = "id"\noverlap = 0')
        prefix = []
    rows = {"no_fence": 10**9, "id_cursor": 1_500, "cursor_first": 800}[control]
    writing = world.writers(3, rows=rows, pause_s=0.3)
    with Workers(world, 2, prefix=prefix) as workers, writing as writers:
        for _ in range(16 if control == "no_fence" else 0):  # about every other one is caught
            freeze(world, workers, 1)
            if world.truth().stale:
                break
        while not writers.finished and control != "no_fence":
            time.sleep(0.2)
            workers.revive()
        for _ in range(5):
            workers.thaw()
            time.sleep(0.5)
    world.settle()
    truth = world.truth()
    note("6", f"negative control: {control}", f"found: {truth}", "the harness fails it")
    assert not truth.clean, f"the harness let {control} pass: {truth}"
    assert truth.stale if control == "no_fence" else truth.lost
