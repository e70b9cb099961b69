"""A Lambda over real HTTP that fails by the mix, has a concurrency limit, can go away and
remembers what it was asked. One thread, one event loop; tests change its fields as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.faults import mix
from tests.faults.loop import LoopThread
from tests.scripted_lambda import Response, aws_error
from worker.settings import LOCAL_FUNCTION

STALL_S = 30.0
"""Longer than any client waits here."""

Script = Callable[[Mapping[str, Any]], Response | None]


class FaultyLambda(LoopThread):
    """`url` speaks Lambda's Invoke. `log` has (time, under way, throttled) of each call."""

    def __init__(
        self,
        rng: Random,
        *,
        faults: Mapping[str, float] | None = None,
        upstream: str | None = None,
    ) -> None:
        """`upstream` is a Lambda that answers in earnest; without one `mix.verdict` does."""
        super().__init__()
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
        self._upstream = upstream
        self._under_way = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

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
            body = await self._in_earnest(request) if self._upstream else mix.body(request)
            return body if isinstance(body, Response) else mix.answer(body, fault, self._rng)
        finally:
            self._under_way -= 1

    async def _in_earnest(self, request: Mapping[str, Any]) -> dict[str, Any] | Response:
        """The body of upstream's answer, or what it says instead of one."""
        call = urllib.request.Request(
            f"{self._upstream}/2015-03-31/functions/{LOCAL_FUNCTION}/invocations",
            json.dumps(request).encode(),
        )
        try:
            reply = await asyncio.to_thread(urllib.request.urlopen, call, timeout=STALL_S)
        except urllib.error.HTTPError as error:
            return aws_error(error.code, error.headers["x-amzn-ErrorType"])
        with reply:
            if reply.headers["X-Amz-Function-Error"]:
                return Response(reply.read(), headers={"X-Amz-Function-Error": "Unhandled"})
            body: dict[str, Any] = json.load(reply)["body"]
            return body


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
