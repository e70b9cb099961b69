"""Where log lines leave the process, by a thread of their own: no work, and no signal, waits for a
log that nobody reads, and a full disk under it costs lines alone."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from typing import TextIO

LINES = 10_000
"""At most this many lines are queued. Further lines are dropped, and their number is logged."""

PATIENCE_S = 1.0
"""How long the end of the process waits for the last lines."""


class Outlet:
    """A text stream for loggers that never blocks and never fails."""

    def __init__(self, stream: TextIO, lines: int = LINES) -> None:
        self._stream = stream
        self._waiting: queue.Queue[str] = queue.Queue(lines)
        self._dropped = itertools.count(1)
        self._last_dropped = 0
        self.tell: Callable[[int], str] = "{} log lines were dropped.\n".format
        """Makes a line of how many lines were dropped, since nobody read them or there was no room
        for them."""
        threading.Thread(target=self._write_on, name="log", daemon=True).start()

    def write(self, text: str) -> None:
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self._last_dropped = next(self._dropped)

    def flush(self) -> None:
        """Each line is flushed when it is written."""

    def drain(self, patience_s: float = PATIENCE_S) -> bool:
        """Wait until everything is written, for so many seconds at most; says whether it is."""
        waiting = self._waiting
        with waiting.all_tasks_done:
            return waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, patience_s)

    def _write_on(self) -> None:
        told = 0
        while True:
            if not self._write(self._waiting.get()):
                self._last_dropped = next(self._dropped)
            dropped = self._last_dropped
            if dropped > told and self._write(self.tell(dropped - told)):
                told = dropped
            self._waiting.task_done()

    def _write(self, text: str) -> bool:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe, a full disk, a closed file
            return False
        return True
