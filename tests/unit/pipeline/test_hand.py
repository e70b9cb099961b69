"""What a run holds: the newest lease of a chunk, and nothing that was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.make import chunk
from worker.pipeline.hand import Hand
from worker.records import Lease

Renew = Callable[[Sequence[Lease]], set[int]]


def lease(number: int, fence: int = 1) -> Lease:
    return Lease(chunk("a", id=number), fence)


def test_a_chunk_that_was_claimed_anew_is_held_under_its_newest_lease() -> None:
    hand, old, new = Hand(), lease(1), lease(1, fence=2)
    hand.take([old])
    hand.take([new])
    assert (len(hand), hand.holds(old), hand.holds(new)) == (1, False, True)
    assert not hand.forget(old), "what comes back under the old fence takes nothing away"
    assert hand.forget(new)
    assert not hand.forget(new)
    assert len(hand) == 0


def kept(hand: Hand, renew: Renew, times: int) -> None:
    """Keeps `hand` until `renew` was called so many times."""

    async def scene() -> None:
        enough = asyncio.Event()
        loop, calls = asyncio.get_running_loop(), 0

        def counted(leases: Sequence[Lease]) -> set[int]:
            nonlocal calls
            calls += 1
            if calls > times:
                loop.call_soon_threadsafe(enough.set)
            return renew(leases)

        task = asyncio.create_task(hand.keep(counted, 0.001))
        async with asyncio.timeout(60):
            await enough.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


def test_what_is_held_is_renewed_again_and_again_and_what_is_lost_is_forgotten() -> None:
    hand, mine, lost = Hand(), lease(1), lease(2)
    hand.take([mine, lost])
    told: list[list[int]] = []

    def renew(leases: Sequence[Lease]) -> set[int]:
        told.append([each.chunk.id for each in leases])
        return {2, 9}

    kept(hand, renew, times=2)
    assert told[0] == [1, 2]
    assert told[1] == [1]
    assert (hand.holds(mine), hand.holds(lost)) == (True, False)


def test_a_chunk_that_was_claimed_anew_while_it_was_renewed_is_not_lost() -> None:
    hand, old, new = Hand(), lease(1), lease(1, fence=2)
    hand.take([old])

    def renew(leases: Sequence[Lease]) -> set[int]:
        if leases[0] is old:
            hand.take([new])  # the run goes on while the database answers
            return {1}
        return set()

    kept(hand, renew, times=1)
    assert hand.holds(new)
