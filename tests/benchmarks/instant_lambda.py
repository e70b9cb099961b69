"""A Lambda that answers at once, or after a fixed time, and costs next to nothing: so that a
benchmark measures the worker. A process of its own; prints its URL, ends when stdin closes.

    python -m tests.benchmarks.instant_lambda [SECONDS]
"""

from __future__ import annotations

import asyncio
import json
import sys

RESULT = {"sentiment": "positive", "score": 0.98, "polarity": 0.96}


class Invoke(asyncio.Protocol):
    """HTTP/1.1 with Content-Length and keep-alive: what botocore sends."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            start = head.find(b"content-length:") + 15
            length = int(
                head[start : (head.find(b"\r\n", start) + len(head) + 1) % (len(head) + 1)]
            )
            if len(self._buffer) < end + 4 + length:
                if b"100-continue" in head:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            del self._buffer[: end + 4 + length]
            answer = _answer(body)
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


def _answer(body: bytes) -> bytes:
    request = json.loads(body)
    count = len(request["texts"])
    answer = {"results": [RESULT] * count, "count": count, "model": "instant", "model_version": "1"}
    if "ids" in request:
        answer["ids"] = request["ids"]
    payload = json.dumps({"statusCode": 200, "body": answer}).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        + str(len(payload)).encode()
        + b"\r\nx-amzn-RequestId: bench\r\n\r\n"
        + payload
    )


async def main() -> None:
    delay_s = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Invoke(delay_s), "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main())
