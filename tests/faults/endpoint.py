"""A Lambda over real HTTP that fails by the mix, has a concurrency limit, can go away and
remembers what it was asked. One thread, one event loop; tests change its fields as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Self

from tests.faults import mix
from tests.scripted_lambda import Response, aws_error

STALL_S = 30.0
"""Longer than any client waits here."""

Script = Callable[[Mapping[str, Any]], Response | None]


class FaultyLambda:
    """`url` speaks Lambda's Invoke. `log` has (time, under way, throttled) of each call."""

    def __init__(self, rng: Random, *, faults: Mapping[str, float] | None = None) -> None:
        self.faults: Mapping[str, float] = faults if faults is not None else {}
        self.latency_s = 0.0
        self.limit: int | None = None
        self.away = False
        self.script: Script | None = None
        """Answers before the mix does; None leaves the call to the mix."""
        self.late_s = STALL_S
        self.calls: Counter[str] = Counter()
        """By fault."""
        self.texts: Counter[str] = Counter()
        """How often each text was sent."""
        self.log: list[tuple[float, int, bool]] = []
        self.refused: list[float] = []
        """When somebody knocked while it was away."""
        self._rng = rng
        self._under_way = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._client, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if self.away:
                    self.refused.append(time.monotonic())
                    break
                request = json.loads(await _payload(reader, writer, head) or b"{}")
                response = await self._answer(request)
                if response.drop:
                    break
                writer.write(_raw(response))
                await writer.drain()
                if response.cut:
                    break
        writer.close()

    async def _answer(self, request: dict[str, Any]) -> Response:
        throttled = self.limit is not None and self._under_way >= self.limit
        self.log.append((time.monotonic(), self._under_way, throttled))
        if throttled:
            self.calls["limit"] += 1
            return aws_error(429, "TooManyRequestsException")
        self._under_way += 1
        try:
            self.texts.update(request.get("texts", ()))
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            if self.script and (scripted := self.script(request)):
                self.calls["scripted"] += 1
                return scripted
            fault = mix.draw(self._rng, self.faults)
            self.calls[fault] += 1
            if fault in ("stall", "late"):
                await asyncio.sleep(STALL_S if fault == "stall" else self.late_s)
            return mix.answer(request, fault, self._rng)
        finally:
            self._under_way -= 1


async def _payload(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
) -> bytes:
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if fields.get(b"expect", b"").lower() == b"100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await reader.readexactly(int(fields.get(b"content-length", b"0")))


def _raw(response: Response) -> bytes:
    length = len(response.body) * (2 if response.cut else 1)
    headers = {"Content-Type": "application/json", "Content-Length": str(length)}
    lines = [f"HTTP/1.1 {response.status} X", *map(": ".join, (headers | response.headers).items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + response.body
