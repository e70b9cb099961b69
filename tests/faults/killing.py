"""kill -9 of processes that a worker or the local Lambda started, again and again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psutil


@contextmanager
def killing(
    find: Callable[[], Sequence[psutil.Process]], every_s: float
) -> Iterator[list[psutil.Process]]:
    """Kill what `find` finds, each `every_s` seconds. Yields those that were killed."""
    stop = threading.Event()
    killed: list[psutil.Process] = []

    def go_on() -> None:
        while not stop.wait(every_s):
            with contextlib.suppress(psutil.Error):  # it has ended by itself
                for process in find():
                    process.kill()
                    killed.append(process)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()
