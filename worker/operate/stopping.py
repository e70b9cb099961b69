"""Signals: the first asks runs to stop, the second ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from weakref import WeakSet

from worker.log import get_logger
from worker.pipeline.run import Run

log = get_logger(__name__)


class Stopper:
    """The first signal asks runs to stop, the second ends the process at once."""

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self.signal = 0
        self._on_stop = on_stop
        self._runs: WeakSet[Run] = WeakSet()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received, number)

    def watch(self, run: Run) -> None:
        self._runs.add(run)
        if self.signal:
            run.stop()

    def _received(self, number: int) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number
        log.info("stopping", signal=signal.Signals(number).name, advice="again to end at once")
        self._on_stop()
        for run in list(self._runs):
            run.stop()
