"""Blocking calls beside the event loop, where `asyncio.to_thread` is not enough."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def in_a_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """In a thread of its own that nobody waits for: a source that hangs would hold one of the few
    that all share, and the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(how: Callable[[Any], None], what: Any) -> None:
        if not future.done():
            how(what)

    def work() -> None:
        settled: tuple[Any, ...]
        try:
            settled = (future.set_result, context.run(call))
        except BaseException as error:  # noqa: BLE001  whoever awaits it decides
            settled = (future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *settled)

    threading.Thread(target=work, name="source", daemon=True).start()
    return future


def in_order(calls: Iterable[Callable[[], T]], at_once: int) -> Iterator[Future[T]]:
    """Begins the next calls while the first is waited for, `at_once` together: what became of each,
    in their order. In threads that nobody waits for, as above."""
    under_way: deque[Future[T]] = deque()
    for call in calls:
        under_way.append(_begun(call))
        if len(under_way) == at_once:
            yield under_way.popleft()
    while under_way:
        yield under_way.popleft()


def _begun(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  whoever asks for the result decides
            future.set_exception(error)

    threading.Thread(target=work, name="source", daemon=True).start()
    return future


async def to_its_end(transaction: Callable[[], T]) -> T:
    """In a thread. A stop waits for it: what it leases is to be known when the run ends."""
    thread = asyncio.ensure_future(asyncio.to_thread(transaction))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait({thread})
        raise
