"""Blocking calls beside the loop: what they raise, and what a stop does to them."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from worker.errors import SourceUnavailable
from worker.threads import in_a_thread, to_its_end

RUN: contextvars.ContextVar[str] = contextvars.ContextVar("run")
GONE = SourceUnavailable("There is no file.")


def test_a_call_in_a_thread_of_its_own_knows_the_context_and_gives_its_result() -> None:
    async def scene() -> tuple[str, bool]:
        RUN.set("run 7")
        return await in_a_thread(lambda: (RUN.get(), threading.current_thread().daemon))

    assert asyncio.run(scene()) == ("run 7", True)


@pytest.mark.parametrize("error", [GONE, KeyboardInterrupt()])
def test_what_a_call_raises_is_raised_where_it_is_awaited(error: BaseException) -> None:
    def call() -> None:
        raise error

    async def scene() -> BaseException | None:
        found = in_a_thread(call)
        await asyncio.wait({found})
        return found.exception()

    assert asyncio.run(scene()) is error


def test_a_loop_ends_while_a_call_hangs_and_the_late_answer_harms_nobody() -> None:
    let_go, ended = threading.Event(), threading.Event()

    def call() -> None:
        let_go.wait(10)
        ended.set()

    async def scene() -> None:
        async with asyncio.timeout(0.05):
            await in_a_thread(call)

    with pytest.raises(TimeoutError):
        asyncio.run(scene())
    assert not ended.is_set(), "the loop did not wait for it"
    let_go.set()
    for thread in threading.enumerate():
        if thread.name == "source":
            thread.join(10)
    assert ended.is_set()


def test_an_answer_that_nobody_waits_for_any_more_is_no_error() -> None:
    let_go = threading.Event()

    async def scene() -> list[object]:
        wrong: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        found = in_a_thread(lambda: let_go.wait(10))
        found.cancel()
        let_go.set()
        threads = [thread for thread in threading.enumerate() if thread.name == "source"]
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)
        await asyncio.sleep(0)
        return wrong

    assert asyncio.run(scene()) == []


def test_a_stop_waits_for_a_transaction_and_is_a_stop_nevertheless() -> None:
    begun, let_go = threading.Event(), threading.Event()
    done: list[str] = []

    def transaction() -> None:
        begun.set()
        let_go.wait(10)
        done.append("committed")

    async def scene() -> bool:
        task = asyncio.create_task(to_its_end(transaction))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0.02)
        waits = not task.done()
        let_go.set()
        await asyncio.gather(task, return_exceptions=True)
        return waits and task.cancelled()

    assert asyncio.run(scene())
    assert done == ["committed"]


def test_a_transaction_gives_its_result_and_its_error() -> None:
    def fails() -> None:
        raise GONE

    assert asyncio.run(to_its_end(lambda: 7)) == 7
    with pytest.raises(SourceUnavailable):
        asyncio.run(to_its_end(fails))
