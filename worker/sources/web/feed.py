"""Entries of a feed. A feed is one page: it is read whole, where it has changed."""

from __future__ import annotations

import io
import json
import time
from calendar import timegm
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex
from typing import Any

import feedparser

from worker.errors import ConfigurationError
from worker.log import get_logger
from worker.records import Page, Position, Record, Refusal, Remark
from worker.sources.feed import TAGS, FeedSourceConfig
from worker.sources.rows import identity
from worker.sources.rows.columns import RowRefused
from worker.sources.rows.mapping import RecordMaker
from worker.sources.web.client import Answer, Client, asking, shown
from worker.sources.web.markup import to_text

log = get_logger(__name__)

Row = dict[str, Any]


class FeedSource:
    """`worker.ports.Source` over a feed."""

    remark: Remark | None = None

    def __init__(self, config: FeedSourceConfig) -> None:
        self.name = config.name
        self._config = config

    def size(self) -> int | None:
        return None

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        position = positions.get("", {})
        layout = self._config.layout
        maker = RecordMaker(layout, ["id", "text", "time", "author", "language", *TAGS],
                            file=self.name)  # fmt: skip
        identity.require_same(position, maker.identity, "")
        # Only a digest of the address: it may hold a key.
        digest = f"{layout.digest()}-{sha256(self._config.url.encode()).hexdigest()[:16]}"
        known = position if position.get("layout") == digest else {}
        names = {"If-None-Match": "etag", "If-Modified-Since": "modified"}
        headers = {header: known[name] for header, name in names.items() if name in known}
        client = Client(asking(self._config))
        try:
            answer = client.ask(self._config.url, headers=headers)
        finally:
            client.close()
        if answer.status == 304:
            self.remark = None
            return
        rows = list(read(answer))
        self.remark = None if rows else Remark("the feed has no entry", found_nothing=True)
        records: list[Record] = []
        refusals: list[Refusal] = []
        for row in rows:
            try:
                records.append(maker.record(row))
            except RowRefused as error:
                raw = json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "replace")
                refusals.append(Refusal(f"entry {str(row['id'])[:100]}", str(error), raw))
        reading = token_hex(4)
        here = {"layout": digest, "reading": reading}
        for name, header in (("etag", "etag"), ("modified", "last-modified")):
            if header in answer.headers:
                here[name] = answer.headers[header]
        yield Page(
            *("", here, records, refusals),
            bytes_read=len(answer.body),
            identity=maker.identity,
            reading=reading,
            complete=True,
        )


def read(answer: Answer) -> Iterator[Row]:
    """The entries, as rows with the names of a layout. Raises ConfigurationError for what is no
    feed."""
    start = answer.body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"{":
        yield from _of_json(answer)
        return
    # As a stream: bytes would be tried as a file's name. And without its address: a guid that looks
    # like a relative one would become another id elsewhere.
    kind = {"content-type": answer.headers.get("content-type", "application/xml")}
    found = feedparser.parse(io.BytesIO(answer.body), response_headers=kind)
    if not found.get("version") and not found.entries:
        raise ConfigurationError(
            f"There is no feed at {shown(answer.url)}.",
            hint="Name the feed's own address, and not that of the page that links to it.",
        )
    if found.get("bozo") and not found.entries:
        why = type(found.get("bozo_exception")).__name__
        log.warning("feed.malformed", url=shown(answer.url), why=why)
    about = found.feed
    for entry in found.entries:
        yield {
            "id": entry.get("id") or entry.get("link"),
            "text": _text(entry.get("title"), _body(entry)),
            "time": _moment(entry.get("published_parsed") or entry.get("updated_parsed")),
            "author": entry.get("author"),
            "language": entry.get("language") or about.get("language"),
            "category": next((tag.get("term") for tag in entry.get("tags", ())), None),
            "feed": about.get("title"),
            "link": entry.get("link"),
        }


def _body(entry: Mapping[str, Any]) -> str:
    """The whole content where it is there, else the summary."""
    content = [part.get("value") for part in entry.get("content", ()) if part.get("value")]
    return str(max(content, key=len)) if content else str(entry.get("summary") or "")


def _text(title: str | None, body: str) -> str:
    """Title and body; once where one begins with the other, as of a post without a title."""
    return _joined(to_text(title or ""), to_text(body))


def _joined(head: str, rest: str) -> str:
    if not head or rest.startswith(head.rstrip("….")):
        return rest or head
    return f"{head}\n\n{rest}".strip()


def _moment(parsed: time.struct_time | None) -> str | None:
    """feedparser gives UTC; a time of an impossible year is none."""
    if parsed is None:
        return None
    try:
        return datetime.fromtimestamp(timegm(parsed), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _of_json(answer: Answer) -> Iterator[Row]:
    """https://www.jsonfeed.org/version/1.1/"""
    feed = answer.json()
    if not str(feed.get("version", "")).startswith("https://jsonfeed.org/version/"):
        raise ConfigurationError(
            f"There is no feed at {shown(answer.url)}: JSON, and no JSON Feed.",
            hint='Of another JSON API read the records with kind = "http".',
        )
    items = feed.get("items")
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        people = item.get("authors") or feed.get("authors") or [item.get("author")]
        plain = item.get("content_text")
        body = plain or to_text(str(item.get("content_html") or item.get("summary") or ""))
        head = str(item.get("title") or "").strip()
        tags = item.get("tags") if isinstance(item.get("tags"), list) else []
        yield {
            "id": item.get("id") or item.get("url"),
            "text": _joined(head, body),
            "time": item.get("date_published") or item.get("date_modified"),
            "author": _name_of_first(people),
            "language": item.get("language") or feed.get("language"),
            "category": tags[0] if tags else None,
            "feed": feed.get("title"),
            "link": item.get("url"),
        }


def _name_of_first(people: Any) -> str | None:
    first = people[0] if isinstance(people, list) and people else None
    return first.get("name") if isinstance(first, dict) else None
