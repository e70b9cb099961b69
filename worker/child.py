"""A process of our own that answers calls over a private socket, and cannot outlive us.

The kernel closes the socket when its parent dies, however it dies, and the child ends with it.
(A child of `multiprocessing` holds both ends of its pipes: after a kill -9 it waits for ever.)
A child that dies is started anew by the next call.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

_LENGTH = struct.Struct(">I")
_GONE = object()


class ChildDied(Exception):
    """The child ended before it answered."""


class Child:
    """`python -m module`, started by the first call; `module` calls `serve`."""

    def __init__(self, module: str, hello: object = None) -> None:
        """`hello` is the first thing that the child is told; not by argv: it may hold keys."""
        self._module = module
        self._hello = hello
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._starting = asyncio.Lock()

    async def call(self, value: object) -> Any:
        """The child's answer to `value`. Raises ChildDied."""
        self._next += 1
        call = self._next
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[call] = future
        try:
            writer = await self._started()
            writer.write(_frame((call, value)))
            with contextlib.suppress(OSError):  # `_read` sees it too, and then `future` says so
                await writer.drain()
            return await future
        except OSError as error:
            raise ChildDied from error
        finally:
            self._waiting.pop(call, None)

    async def start(self) -> None:
        """Start it, if it does not run. Raises OSError."""
        await self._started()

    def kill(self) -> None:
        """End it now; calls under way raise ChildDied, the next call starts a new one."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        async with self._starting:  # one that is being started has to be there to be ended
            await self._end()

    async def _end(self) -> None:
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
        if self._process:  # the one before: its socket is closed
            self.kill()
            await self._process.wait()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    # -P: a queue.py in the folder we were started in is not the library's.
                    *(sys.executable, "-P", "-m", self._module, str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for the worker, which lets calls finish
                )
            reader, self._writer = await asyncio.open_connection(sock=ours, limit=1 << 24)
        except BaseException:  # a stop, too: what has been started ends with the socket
            ours.close()
            raise
        self._writer.write(_frame(self._hello))
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                call, reply = pickle.loads(await reader.readexactly(length))  # noqa: S301  our child
                future = self._waiting.get(call)
                if future and not future.done():
                    future.set_result(reply)
        except (asyncio.IncompleteReadError, OSError):
            pass  # it ended
        finally:
            if self._writer:
                self._writer.close()
            self._writer = None
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ChildDied())


def _frame(value: object) -> bytes:
    """Pickle, length first: both ends are this very module, over a private socket."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


# -- the child's side ----------------------------------------------------------------------


def serve(make: Callable[[Any], tuple[Callable[[Any], Any], int]]) -> None:
    """Answer calls until the parent is gone. `make` turns the hello into what answers a call,
    and how many calls to answer at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    incoming = connection.makefile("rb")
    hello = _receive(incoming)
    if hello is _GONE:
        return
    answer, threads = make(hello)
    lock = threading.Lock()

    def work(call: int, value: Any) -> None:
        try:
            frame = _frame((call, answer(value)))
        except BaseException:  # noqa: BLE001  whatever it was
            traceback.print_exc()
            os._exit(1)  # the caller hears that its child died; nobody waits for ever
        with lock, contextlib.suppress(OSError):
            connection.sendall(frame)

    with ThreadPoolExecutor(threads) as pool:
        while (request := _receive(incoming)) is not _GONE:
            pool.submit(work, *request)
        os._exit(0)  # nobody is left to hear the answers of calls under way


def _receive(incoming: IO[bytes]) -> Any:
    """What the parent says next; `_GONE` where there is none any more."""
    try:
        head = incoming.read(_LENGTH.size)
    except OSError:  # the parent was killed while it wrote
        return _GONE
    if len(head) < _LENGTH.size:
        return _GONE
    (length,) = _LENGTH.unpack(head)
    return pickle.loads(incoming.read(length))  # noqa: S301  our parent
