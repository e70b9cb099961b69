"""The leases that a run holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from worker.log import get_logger
from worker.records import Lease

log = get_logger(__name__)


class Hand:
    """Leases by chunk; a chunk that was claimed anew is held under its newest lease."""

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def take(self, leases: Sequence[Lease]) -> None:
        self._leases |= {lease.chunk.id: lease for lease in leases}

    def holds(self, lease: Lease) -> bool:
        return self._leases.get(lease.chunk.id) is lease

    def forget(self, lease: Lease) -> bool:
        """Give up a lease; False if its chunk was claimed anew meanwhile, or is not held."""
        if not self.holds(lease):
            return False
        del self._leases[lease.chunk.id]
        return True

    async def keep(self, renew: Callable[[Sequence[Lease]], set[int]], every_s: float) -> None:
        """Renew what is held, for ever; `renew` blocks, and returns the chunks that are lost."""
        # A thread of its own: sources that hang may hold all of the loop's.
        heart = ThreadPoolExecutor(1, thread_name_prefix="renew")
        while True:
            await asyncio.sleep(every_s)
            held = list(self._leases.values())
            lost = await asyncio.get_running_loop().run_in_executor(heart, renew, held)
            gone = [lease for lease in held if lease.chunk.id in lost and self.forget(lease)]
            if gone:  # a chunk that was settled meanwhile is not lost
                log.warning("leases.lost", chunks=[lease.chunk.id for lease in gone][:20])
