"""boto3 in a process of its own, with as many threads as calls may be under way.

A call costs boto3 about a millisecond of pure Python, with a dozen hand-overs of the
interpreter's lock. In the worker's own process that is more than all the rest of a chunk's
way; here it costs the worker two writes to a socket. A child that dies costs one failed attempt
a chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from worker import child
from worker.child import Child, ChildDied
from worker.errors import ConfigurationError
from worker.records import Failure, FailureKind, Reach
from worker.scoring.target import LambdaTarget, Reply

DIED = Failure(
    FailureKind.UNAVAILABLE,
    "sender_died",
    "The process that calls the Lambda ended; it is started anew.",
    reach=Reach.UNKNOWN,
)
TOO_LATE = Failure(
    FailureKind.UNAVAILABLE,
    "too_late",
    "No whole answer came within the function's timeout.",
    reach=Reach.UNKNOWN,
)
SLACK_S = 15.0
"""Beyond the function's timeout: connecting, and the way back."""


class Sender:
    """Sends payloads to the function. `invoke` is one HTTP request."""

    def __init__(self, target: LambdaTarget) -> None:
        self._timeout_s = target.timeout_s + SLACK_S
        self._child = Child(__name__, target)

    async def invoke(self, payload: bytes, trace: str | None = None) -> Reply | Failure:
        """The function's reply, or why there is none. Never raises for what happened outside."""
        try:
            # The SDK's read timeout is for each read: a body that drips would never meet it.
            await self._child.start()
        except OSError as error:
            told = f"The process that calls the Lambda cannot be started: {error.strerror}."
            kind = FailureKind.UNAVAILABLE
            return Failure(kind, "sender_not_started", told, reach=Reach.NOT_SENT)
        try:
            async with asyncio.timeout(self._timeout_s):
                reply: Reply | Failure = await self._child.call((payload, trace))
                return reply
        except TimeoutError:
            # The child's thread is lost to that call; a new child has all of its threads.
            self._child.kill()
            return TOO_LATE
        except ChildDied:
            return DIED

    async def prepare(self) -> None:
        """Start the process, if it does not run."""
        with contextlib.suppress(OSError):  # the first call says why
            await self._child.start()

    async def close(self) -> None:
        await self._child.close()


Call = tuple[bytes, str | None]
"""A payload and the trace that it belongs to."""


def _invoker(target: LambdaTarget) -> tuple[Callable[[Call], Reply | Failure], int]:
    from worker.scoring.invoke import Invoker  # boto3: only the child pays for its import

    try:
        return Invoker(target).invoke, target.max_concurrency
    except ConfigurationError as error:
        told = f"{error} {error.hint}".strip()
        refusal = Failure(FailureKind.MISCONFIGURED, "bad_client", told, reach=Reach.NOT_SENT)
        return lambda payload: refusal, 1


if __name__ == "__main__":
    child.serve(_invoker)
