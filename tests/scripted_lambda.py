"""A Lambda over real HTTP that answers as a test tells it, and counts what it is asked."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Script = Callable[[dict[str, Any], int], "Response"]
"""(request, how many came before) -> what to answer."""


class Response:
    """What goes back over the wire. `drop` closes the connection without a word."""

    def __init__(
        self,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        drop: bool = False,
        cut: bool = False,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = headers or {}
        self.drop = drop
        self.cut = cut


def scored(request: dict[str, Any], **changes: Any) -> Response:
    """The right answer: positive for texts with "good", negative with "bad", else neutral."""
    body = {
        "results": [_result(text) for text in request["texts"]],
        "count": len(request["texts"]),
        "ids": request["ids"],
        "model": "scripted",
        "model_version": "1",
    }
    return Response(json.dumps({"statusCode": 200, "body": body | changes}).encode())


def aws_error(status: int, code: str) -> Response:
    body = json.dumps({"message": "scripted", "Type": "User"}).encode()
    return Response(body, status=status, headers={"x-amzn-ErrorType": code})


def function_error(error_type: str = "ValueError") -> Response:
    body = json.dumps({"errorType": error_type, "errorMessage": "scripted"}).encode()
    return Response(body, headers={"X-Amz-Function-Error": "Unhandled"})


def billed(response: Response, milliseconds: int, memory_mb: int) -> Response:
    """With the tail of the function's log, as LogType=Tail asks for it."""
    report = (
        "START RequestId: 1 Version: $LATEST\nEND RequestId: 1\nREPORT RequestId: 1\t"
        f"Duration: {milliseconds - 0.4:.2f} ms\tBilled Duration: {milliseconds} ms\t"
        f"Memory Size: {memory_mb} MB\tMax Memory Used: 99 MB\t\n"
    )
    response.headers["X-Amz-Log-Result"] = base64.b64encode(report.encode()).decode()
    return response


class ScriptedLambda:
    """`script` may be changed while the server runs; `requests` holds all that came."""

    def __init__(self) -> None:
        self.script: Script = lambda request, n: scored(request)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._serve(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def texts_sent(self) -> list[str]:
        return [text for request in self.requests for text in request["texts"]]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        payload = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = json.loads(payload or b"{}")
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            self.headers.append(dict(handler.headers))
        response = self.script(request, number)
        if response.drop:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.send_response(response.status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(response.body) * (2 if response.cut else 1)))
        for name, value in response.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(response.body)
        if response.cut:
            handler.close_connection = True

    def __enter__(self) -> Self:
        # A short poll: `shutdown` waits for the end of one.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _result(text: str) -> dict[str, Any]:
    if "good" in text:
        return {"sentiment": "positive", "score": 0.9, "polarity": 0.85}
    if "bad" in text:
        return {"sentiment": "negative", "score": 0.8, "polarity": -0.7}
    return {"sentiment": "neutral", "score": 0.7, "polarity": 0.0}
