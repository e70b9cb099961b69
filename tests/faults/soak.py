"""A worker that runs for long, on a server of its own: its memory, descriptors and dead tuples."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

import psutil

from tests.faults.endpoint import FaultyLambda
from tests.faults.server import Server
from tests.faults.world import Workers, World, make_template

SAMPLE_S = 0.5


@dataclass(frozen=True)
class Sample:
    at_s: float
    resident_mb: float
    descriptors: int


class Soak:
    """`serve` with two sources that are written to, from entering to leaving."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentiment-soak-")))
            home.chmod(0o755)
            server = stack.enter_context(Server(home))
            make_template(server)
            endpoint = stack.enter_context(FaultyLambda(Random(0)))
            self._world = stack.enter_context(World(server, home, endpoint, Random(0)))
            workers = stack.enter_context(Workers(self._world, 1))
            stack.enter_context(self._world.writers(2, rows=10**9, pause_s=1.0))
            self._process = psutil.Process(workers.pids[0])
            self._samples: list[Sample] = []
            self._stop = threading.Event()
            self._started = time.monotonic()
            watch = threading.Thread(target=self._watch)
            watch.start()
            stack.callback(watch.join)
            stack.callback(self._stop.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def settled(self) -> list[Sample]:
        """The second half: at a run a second the allocator finds its size in ten minutes."""
        samples = list(self._samples)
        return samples[len(samples) // 2 :]

    def slope(self) -> float:
        """Of resident memory, MB an hour."""
        settled = self.settled()
        times = [sample.at_s for sample in settled]
        sizes = [sample.resident_mb for sample in settled]
        return statistics.linear_regression(times, sizes).slope * 3600

    def dead_share(self) -> float:
        """Of the chunk table's tuples, between autovacuum's visits."""
        ((dead, live),) = self._world.rows(
            "SELECT n_dead_tup, n_live_tup FROM pg_stat_user_tables"
            " WHERE schemaname = 'sentiment' AND relname = 'chunk'"
        )
        return float(dead / max(1, dead + live))

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            resident = self._process.memory_info().rss / 2**20
            self._samples.append(Sample(self.seconds, resident, self._process.num_fds()))
