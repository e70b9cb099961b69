"""Blocking calls beside the event loop, where `asyncio.to_thread` is not enough."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
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


async def to_its_end(transaction: Callable[[], T]) -> T:
    """In a thread. A stop waits for it: what it leases is to be known when the run ends."""
    thread = asyncio.ensure_future(asyncio.to_thread(transaction))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait({thread})
        raise
