"""Charts drawn in another process: drawing holds the interpreter's lock for a tenth of a second."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from worker.insight.charts import DARK, LIGHT, PHONE, Style
from worker.insight.report import Picture
from worker.store.analytics.questions import Scope

KEPT = 200
"""Pictures that are kept, so that the same numbers are drawn once."""


def _draw(name: str, found: Any, scope: Scope, style: Style) -> Picture:
    from worker.insight.charts import named

    return named.draw(name, found, scope, style)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(0)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from worker.insight.charts import named  # noqa: F401  so that the first picture waits less


class ChartRenderer:
    """One process, started on first use, and again if it was killed."""

    def __init__(self) -> None:
        self._pool = self._new()
        self._kept: OrderedDict[bytes, Picture] = OrderedDict()

    async def draw(
        self, name: str, found: Any, scope: Scope, *, dark: bool, narrow: bool
    ) -> Picture:
        """`found` is what the chart asked for."""
        style = DARK if dark else LIGHT
        if narrow:
            style = style._replace(width=PHONE)
        key = hashlib.blake2b(repr((name, found, scope, style)).encode()).digest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        drawing = partial(_draw, name, found, scope, style)
        loop = asyncio.get_running_loop()
        try:
            picture = await loop.run_in_executor(self._pool, drawing)
        except BrokenProcessPool:
            self._pool = self._new()
            picture = await loop.run_in_executor(self._pool, drawing)
        self._kept[key] = picture
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return picture

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _new() -> ProcessPoolExecutor:
        # Not forked: neither the threads of a server nor a drawing engine survive that.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
