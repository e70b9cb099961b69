"""Settlements gather, so that many share a transaction, and none waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.make import chunk
from worker.pipeline.settlements import AT_ONCE, SettlementQueue
from worker.records import Lease, Settlement, SettlementKind


def settlement(number: int) -> Settlement:
    return Settlement(Lease(chunk("a", id=number), 1), SettlementKind.DONE)


def gathered(count: int, under_way: Callable[[], int]) -> list[list[int]]:
    """Chunks by transaction; all were put before the first."""

    async def scene() -> list[list[int]]:
        outcomes = SettlementQueue(under_way)
        for number in range(count):
            await outcomes.put(settlement(number))
        await outcomes.end()
        batches = []
        while batch := await outcomes.gather():
            batches.append([each.lease.chunk.id for each in batch])
        return batches

    return asyncio.run(scene())


def test_what_is_there_is_one_transaction_of_so_many_at_most_in_order() -> None:
    batches = gathered(2 * AT_ONCE + 5, lambda: 0)
    assert [len(batch) for batch in batches] == [AT_ONCE, AT_ONCE, 5]
    assert [number for batch in batches for number in batch] == list(range(2 * AT_ONCE + 5))


def test_the_end_is_no_settlement_and_ends_it_whatever_is_before_it() -> None:
    assert gathered(0, lambda: 1) == []
    assert gathered(AT_ONCE, lambda: 1) == [list(range(AT_ONCE))]


def test_while_calls_are_under_way_a_late_one_shares_the_transaction() -> None:
    async def scene() -> list[Settlement]:
        outcomes = SettlementQueue(lambda: 1)
        await outcomes.put(settlement(1))
        gathering = asyncio.create_task(outcomes.gather())
        await asyncio.sleep(0)
        await outcomes.put(settlement(2))
        return await gathering

    assert len(asyncio.run(scene())) == 2


def test_a_single_one_is_not_held_back_for_ever_by_calls_that_hang() -> None:
    async def scene() -> list[Settlement]:
        outcomes = SettlementQueue(lambda: 1)
        await outcomes.put(settlement(1))
        async with asyncio.timeout(60):
            return await outcomes.gather()

    assert len(asyncio.run(scene())) == 1


def test_without_calls_under_way_nothing_is_waited_for() -> None:
    """It asks once, and gives what it has."""

    async def scene() -> list[int]:
        asked: list[int] = []

        def under_way() -> int:
            asked.append(0)
            return 0

        outcomes = SettlementQueue(under_way)
        await outcomes.put(settlement(1))
        assert len(await outcomes.gather()) == 1
        return asked

    assert asyncio.run(scene()) == [0]
