"""JSON APIs on loopback that behave as those of real services are documented, and their bad hours.

`desk`   a help desk: cursor pages, `meta.after_cursor`, `meta.has_more` (as Zendesk documents)
`site`   a review site: page numbers, newest first (as Trustpilot documents)
`forum`  a forum: `Link` headers with rel="next" (as GitHub documents)
`plain`  offset and limit; `chain`  the next page's URL in the body
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

START = datetime(2026, 3, 1, tzinfo=UTC)


class Asked(NamedTuple):
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Said:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Say that more comes than does."""

    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class WebApi:
    """Holds records as dictionaries with id, text and time, oldest first; serves pages of them."""

    def __init__(self, page_size: int = 100) -> None:
        self.rows: list[dict[str, Any]] = []
        self.page_size = page_size
        self.asked: list[Asked] = []
        self.hurdle: Callable[[Asked, int], Said | None] = lambda asked, n: None
        """What to say in place of an answer; n counts requests from 1."""
        self.away = False
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def put(self, texts: Mapping[int, str | None]) -> None:
        """Records with these ids and texts, a minute apart; None: one without an id."""
        self.rows = [
            {
                "id": number if text is not None else None,
                "text": text or "",
                "time": (START + timedelta(minutes=number)).isoformat(),
            }
            for number, text in texts.items()
        ]

    def answer(self, asked: Asked) -> Said:
        if self.away:
            return Said(503, {"error": "away"})
        if (instead := self.hurdle(asked, len(self.asked))) is not None:
            return instead
        serve = getattr(self, f"_{asked.path.strip('/').partition('/')[0]}", None)
        found: Said = serve(asked) if serve else Said(404, {"error": "nothing here"})
        return found

    def _since(self, asked: Asked) -> list[dict[str, Any]]:
        since = asked.query.get("since", "")
        return [row for row in self.rows if row["time"] >= since.replace("Z", "+00:00")]

    def _desk(self, asked: Asked) -> Said:
        rows, start = self._since(asked), 0
        if cursor := asked.query.get("cursor"):
            start = int(base64.b64decode(cursor))
        page, more = rows[start : start + self.page_size], start + self.page_size < len(rows)
        after = base64.b64encode(str(start + self.page_size).encode()).decode() if more else ""
        return Said(body={"tickets": page, "meta": {"has_more": more, "after_cursor": after}})

    def _site(self, asked: Asked) -> Said:
        number = int(asked.query.get("page", 1))
        newest_first = list(reversed(self._since(asked)))
        start = (number - 1) * self.page_size
        return Said(body={"reviews": newest_first[start : start + self.page_size]})

    def _plain(self, asked: Asked) -> Said:
        start = int(asked.query.get("offset", 0))
        return Said(body=self._since(asked)[start : start + self.page_size])

    def _forum(self, asked: Asked) -> Said:
        start = int(asked.query.get("from", 0))
        said = Said(body=self.rows[start : start + self.page_size])
        if start + self.page_size < len(self.rows):
            following = self.url(f"forum?from={start + self.page_size}")
            said.headers["Link"] = f'<{following}>; rel="next", <{self.url("forum")}>; rel="first"'
        return said

    def _chain(self, asked: Asked) -> Said:
        start = int(asked.query.get("from", 0))
        more = start + self.page_size < len(self.rows)
        following = f"/chain?from={start + self.page_size}" if more else None
        return Said(body={"data": self.rows[start : start + self.page_size], "next": following})

    def _handler(outer) -> type[BaseHTTPRequestHandler]:  # noqa: N805  self is the request's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                self._reply()

            def do_POST(self) -> None:
                self._reply()

            def _reply(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                asked = Asked(parts.path, query, headers, body)
                with outer._lock:
                    outer.asked.append(asked)
                    said = outer.answer(asked)
                content = said.bytes() if said.status != 304 else b""
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content) + (100 if said.cut else 0)))
                self.end_headers()
                self.wfile.write(content)
                if said.cut:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
