"""boto3 in a process of its own, with as many threads as calls may be under way.

A call costs boto3 about a millisecond of pure Python, with a dozen hand-overs of the
interpreter's lock. In the worker's own process that is more than all the rest of a chunk's
way; here it costs the worker two writes to a socket. The child ends when its socket closes, so
it cannot outlive its parent, and a child that dies costs one failed attempt a chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
import struct
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from worker.errors import ConfigurationError
from worker.records import Failure, FailureKind
from worker.scoring.target import LambdaTarget, Reply

_LENGTH = struct.Struct(">I")

DIED = Failure(
    FailureKind.UNAVAILABLE,
    "sender_died",
    "The process that calls the Lambda ended; it is started anew.",
)


TOO_LATE = Failure(
    FailureKind.UNAVAILABLE, "too_late", "No whole answer came within the function's timeout."
)
SLACK_S = 15.0
"""Beyond the function's timeout: connecting, and the way back."""


class Sender:
    """Sends payloads to the function. `invoke` is one HTTP request."""

    def __init__(self, target: LambdaTarget) -> None:
        self._target = target
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Reply | Failure]] = {}
        self._next = 0
        self._starting = asyncio.Lock()

    async def invoke(self, payload: bytes) -> Reply | Failure:
        """The function's reply, or why there is none. Never raises for what happened outside."""
        self._next += 1
        call = self._next
        future: asyncio.Future[Reply | Failure] = asyncio.get_running_loop().create_future()
        self._waiting[call] = future
        try:
            # The SDK's read timeout is for each read: a body that drips would never meet it.
            async with asyncio.timeout(self._target.timeout_s + SLACK_S):
                writer = await self._started()
                writer.write(_frame((call, payload)))
                await writer.drain()
                return await future
        except TimeoutError:
            # The child's thread is lost to that call; a new child has all of its threads.
            if self._process and self._process.returncode is None:
                self._process.kill()
            return TOO_LATE
        except OSError:
            return DIED
        finally:
            self._waiting.pop(call, None)

    async def close(self) -> None:
        if self._writer:
            self._writer.close()
        if self._reading:
            self._reading.cancel()
        if self._process:
            try:
                await asyncio.wait_for(self._process.wait(), 2.0)
            except TimeoutError:  # calls under way; nobody waits for their answers any more
                self._process.kill()
                await self._process.wait()

    async def _started(self) -> asyncio.StreamWriter:
        async with self._starting:
            if self._writer is None:
                await self._start()
        assert self._writer
        return self._writer

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                # -P: a queue.py in the folder we were started in is not the library's.
                *(sys.executable, "-P", "-m", __name__, str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the worker, which lets calls finish
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=1 << 24)
        self._writer.write(_frame(self._target))  # not in argv: it may hold keys
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                call, reply = pickle.loads(await reader.readexactly(length))  # noqa: S301  our child
                future = self._waiting.get(call)
                if future and not future.done():
                    future.set_result(reply)
        if self._writer:
            self._writer.close()
        self._writer = None
        for future in self._waiting.values():
            if not future.done():
                future.set_result(DIED)


def _frame(value: object) -> bytes:
    """Pickle, length first: both ends are this very module, over a private socket."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


# -- the child -----------------------------------------------------------------------------


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    incoming = connection.makefile("rb")
    target = _receive(incoming)
    invoke = _invoker(target)
    lock = threading.Lock()

    def work(call: int, payload: bytes) -> None:
        frame = _frame((call, invoke(payload)))
        with lock, contextlib.suppress(OSError):
            connection.sendall(frame)

    with ThreadPoolExecutor(target.max_concurrency, thread_name_prefix="invoke") as pool:
        while (request := _receive(incoming)) is not None:
            pool.submit(work, *request)
        os._exit(0)  # nobody is left to hear the answers of calls under way


def _invoker(target: LambdaTarget) -> Callable[[bytes], Reply | Failure]:
    from worker.scoring.invoke import Invoker  # boto3: only the child pays for its import

    try:
        return Invoker(target).invoke
    except ConfigurationError as error:
        refusal = Failure(FailureKind.MISCONFIGURED, "bad_client", f"{error} {error.hint}".strip())
        return lambda payload: refusal


def _receive(incoming: IO[bytes]) -> Any:
    head = incoming.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    return pickle.loads(incoming.read(length))  # noqa: S301  our parent


if __name__ == "__main__":
    main()
