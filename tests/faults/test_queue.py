"""A queue: workers that die between a commit and the deletion of its message."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from tests.cloud import Cloud
from tests.faults import mix
from tests.faults.conftest import Note, Scale
from tests.faults.world import Workers, World
from worker.sources.queue.source import IDLE_S

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def cloud(world: World) -> Iterator[Cloud]:
    with Cloud() as made:
        world.config.write_text(
            f'[[source]]\nname = "drop"\nkind = "sqs"\nqueue = "{made.queue}"\n'
        )
        world.shell.variables.update(made.variables)
        yield made


class Uploads:
    """Objects of a few rows each, some of them written again; what the bucket holds by now."""

    def __init__(self, cloud: Cloud, rng: Random) -> None:
        self.texts: dict[str, str] = {}
        self.objects = 0
        self.puts = 0
        self._cloud = cloud
        self._rng = rng

    def add(self) -> None:
        rng = self._rng
        again = self.objects and rng.random() < 0.15
        key = rng.randrange(self.objects) if again else self.objects
        rows = [(f"{key}-{n}", f"text {rng.getrandbits(60):x} said {n}") for n in range(3)]
        self._cloud.put(f"in/{key:06}.csv", *rows)
        self.texts |= dict(rows)
        self.objects += not again
        self.puts += 1

    def held(self) -> dict[tuple[str, str], str]:
        return {("drop", id_): text for id_, text in self.texts.items()}


@contextmanager
def uploading(uploads: Uploads, count: int, pause_s: float) -> Iterator[threading.Thread]:
    def go_on() -> None:
        while uploads.objects < count:
            uploads.add()
            time.sleep(pause_s)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


@pytest.mark.parametrize("point", ["ingest.before_commit", "ingest.committed"])
def test_killed_before_the_message_is_deleted(
    world: World, cloud: Cloud, rng: Random, note: Note, point: str
) -> None:
    uploads = Uploads(cloud, rng)
    while uploads.objects < 5:
        uploads.add()
    armed = [sys.executable, "-m", "tests.faults.crashing", "kill", point, "1"]
    run = [*armed, "once", "--config", str(world.config)]
    killed = subprocess.run(run, env=world.shell.variables | {"PYTHONPATH": "."}, check=False,
                            capture_output=True, timeout=60)  # fmt: skip
    assert killed.returncode == -9
    left = cloud.left()
    time.sleep(IDLE_S + 0.5)  # the queue still answers what the dead process had asked for
    cloud.wake()
    world.settle()
    truth = world.truth_of(uploads.held())
    note(
        "1",
        f"kill -9 at {point}, before the queue's messages are deleted",
        f"{left} messages were left then, {cloud.left()} in the end; {truth}",
        "all of them, 0; 0/0",
    )
    assert left == uploads.puts
    assert cloud.left() == 0
    assert truth.clean


def test_objects_under_workers_that_die(
    world: World, cloud: Cloud, scale: Scale, rng: Random, note: Note
) -> None:
    """Two processes at one queue, one of which is killed again and again."""
    objects, kills = scale.of(80, 10_000), scale.of(3, 60)
    uploads = Uploads(cloud, rng)
    world.endpoint.faults = mix.MIX
    pause_s = scale.of(10, 300) / objects
    with Workers(world, 2) as workers, uploading(uploads, objects, pause_s) as thread:
        while thread.is_alive() or workers.kills < kills:
            time.sleep(rng.uniform(0.5, 5.0))
            if workers.kills < kills:
                workers.kill(rng.randrange(2))
            cloud.wake()
        world.wait_until(cloud.is_empty, 300)
    world.settle()
    truth = world.truth_of(uploads.held())
    note(
        "1",
        f"{workers.kills} random kill -9 of 2 workers at one queue, {uploads.objects:,} objects"
        " dropped into its bucket, some again, the fault mix",
        f"{truth}; {cloud.left()} messages left",
        "0/0; 0",
    )
    assert truth.clean, str(truth)
    assert cloud.left() == 0
