"""What happens on the wire between a worker and PostgreSQL: a reply to COMMIT that never comes."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from random import Random

from tests.faults.loop import LoopThread


class PostgresProxy(LoopThread):
    """TCP in front of a server's Unix socket. With probability `lose`, a COMMIT is delivered,
    the server answers it, and the connection dies before the answer reaches the client."""

    def __init__(self, socket: Path, rng: Random) -> None:
        super().__init__()
        self.lose = 0.0
        self.lost = 0
        self._socket = socket
        self._rng = rng

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            from_server, to_server = await asyncio.open_unix_connection(self._socket)
            doomed = asyncio.Event()
            back = asyncio.create_task(self._back(from_server, writer, doomed))
            while data := await reader.read(1 << 16):
                # psycopg commits by a simple query: 'Q', its length, the text.
                if b"COMMIT\0" in data and self._rng.random() < self.lose:
                    doomed.set()
                to_server.write(data)
                await to_server.drain()
            to_server.close()
            await back
        writer.close()

    async def _back(
        self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await from_server.read(1 << 16):
                if doomed.is_set():
                    self.lost += 1
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
