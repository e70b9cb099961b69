"""Settlements on their way to the journal: many share a transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from worker.records import Settlement

AT_ONCE = 200
"""Chunks whose outcome is written in one transaction, at most."""

PATIENCE_S = 0.1
"""How long an outcome waits for others to share its transaction."""


class SettlementQueue:
    """A queue that gives what has gathered."""

    def __init__(self, calls_under_way: Callable[[], int]) -> None:
        self._queue: asyncio.Queue[Settlement | None] = asyncio.Queue()
        self._calls_under_way = calls_under_way

    async def put(self, settlement: Settlement) -> None:
        await self._queue.put(settlement)

    async def end(self) -> None:
        """No more will come."""
        await self._queue.put(None)

    async def gather(self) -> list[Settlement]:
        """The outcomes of the next moment, or none at the end. While calls are under way a
        little patience makes one transaction of many; without any there is nothing to wait for."""
        batch: list[Settlement] = []
        deadline = 0.0
        while len(batch) < AT_ONCE:
            if self._queue.empty() and batch:
                left = deadline - time.monotonic()
                if left <= 0 or not self._calls_under_way():
                    break
                await asyncio.sleep(min(left, 0.01))
                continue
            settlement = await self._queue.get()
            if settlement is None:
                if batch:
                    self._queue.put_nowait(None)
                break
            deadline = deadline or time.monotonic() + PATIENCE_S
            batch.append(settlement)
        return batch
