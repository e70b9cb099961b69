"""Where the next page of an API is, and how it is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Position
from worker.sources.http import HttpSourceConfig
from worker.sources.rows.paths import found
from worker.sources.web.client import Answer, Client, joined, shown

log = get_logger(__name__)

RESTARTS = 3

_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[^=,;"]+(?:="[^"]*"|=[^,;]*)?)*)')


@dataclass(slots=True)
class Reading:
    """One pass over the pages, however many runs it takes."""

    name: str
    at: dict[str, Any] | None = None
    """The place of the next page: {"url"}, {"cursor"}, {"page"} or {"offset"}; None: the first."""
    newest: str = ""
    """The newest time so far, ISO 8601 in UTC."""
    last_id: str = ""
    """Of the page before, for pages by offset."""
    size: int = 0
    """Records of that page."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    restarts: int = 0
    """How often it began again, because records had moved away."""
    round: int = 0
    """How often all pages were read before."""
    pages: int = 0
    """With records, read in this round by this process."""
    mark: int = 0
    """Of the ids of the page before."""
    etag: str | None = None
    """Of an answer that was all there is."""
    seen: set[int] | None = None
    """Marks of the records so far, where they may shift."""
    is_new: bool = False
    """Did this round bring a record that no round before had?"""


class Pager:
    """Asks for pages, by what the configuration says of them."""

    def __init__(self, config: HttpSourceConfig, client: Client) -> None:
        self.name = config.name
        self._config = config
        self._client = client
        self.doubt = ""
        """What a person should look at: the path of the next page may be misspelt."""

    def asked(self, position: Position, reading: Reading) -> Answer:
        c = self._config
        parts = urlsplit(c.url)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        params |= {name: _plain(value) for name, value in c.params.items()}
        body = dict(c.body) if c.body is not None else None
        if c.since and (since := position.get("since")):
            value = _since(since, c.overlap.total_seconds(), c.since_format)
            if body is not None and c.since in body:
                body[c.since] = value
            else:
                params[c.since] = str(value)
        at, headers = reading.at or {}, {}
        url = urlunsplit(parts._replace(query=""))
        if "url" in at:
            # What the API names is whole: its own parameters are in it.
            url, params = at["url"], {}
        elif c.pagination in ("cursor", "page", "offset"):
            place = at.get(c.pagination, self._first())
            if place is not None:
                name = c.param or c.pagination
                if body is not None and name in body:
                    body[name] = place
                else:
                    params[name] = str(place)
        if not at and (etag := position.get("etag")):
            headers["If-None-Match"] = etag
        return self._client.ask(url, method=c.method, params=params, body=body, headers=headers)

    def _first(self) -> int | None:
        if self._config.pagination == "cursor":
            return None
        if self._config.first is not None:
            return self._config.first
        return 1 if self._config.pagination == "page" else 0

    def known(self, rows: list[Any], reading: Reading) -> int | None:
        """How many rows at a page's beginning were read with the page before: one of pages by
        offset, none of others. None where records have moved away, so that the page does not hold
        the last record of the page before: then the reading stands a page earlier, and in the end
        at the first. Raises SourceUnavailable where it comes to the first again and again."""
        at = reading.at or {}
        if "offset" not in at or not reading.last_id:
            return 0
        ids = [str(found(self._config.id, row)) for row in rows]
        if reading.last_id in ids:
            # Deeper in the page, records before it came meanwhile, or were read: nobody knows.
            return 0 if ids.index(reading.last_id) else 1
        log.info("web.pages_shift", source=self.name, offset=at["offset"])
        back = int(at["offset"]) - max(1, reading.size - 1)
        if back > (self._first() or 0):
            reading.at = {"offset": back}
            return None
        reading.at, reading.last_id = None, ""
        reading.restarts += 1
        if reading.restarts > RESTARTS:
            raise SourceUnavailable(
                f"Records of {self.name!r} move while they are read, each time anew.",
                hint='If the API has cursors, use them: pagination = "cursor".',
            )
        return None

    def following(
        self, answer: Answer, document: Any, rows: list[Any], reading: Reading
    ) -> dict[str, Any] | None:
        """The place of the next page; None: this was the last."""
        c = self._config
        if c.pagination == "none" or (c.stop and found(c.stop, document)):
            return None
        if c.pagination in ("next", "link"):
            target = found(c.next or "", document) if c.next else _next_link(answer)
            self._notice(document, target, reading)
            if not isinstance(target, str) or not target:
                return None
            target = joined(answer.url, target, self.name)
            if urlsplit(target)[:2] != urlsplit(c.url)[:2]:
                raise ConfigurationError(
                    f"{shown(answer.url)} names a next page at another site, {shown(target)}.",
                    hint="Credentials are not taken there: name that site as the url.",
                )
            return {"url": target}
        if c.pagination == "cursor":
            cursor = found(c.next or "", document)
            self._notice(document, cursor, reading)
            return {"cursor": cursor} if isinstance(cursor, str | int) and cursor != "" else None
        if not rows or self._is_same_page(rows, reading):
            return None
        at = int((reading.at or {}).get(c.pagination) or self._first() or 0)
        if c.pagination == "page":
            return {"page": at + 1}
        if len(rows) == 1:  # a page of one record cannot begin with the last one and hold another
            reading.last_id = ""
            return {"offset": at + 1}
        reading.last_id, reading.size = str(found(c.id, rows[-1])), len(rows)
        return {"offset": at + len(rows) - 1}

    def _notice(self, document: Any, following: Any, reading: Reading) -> None:
        """A first answer that names no next page where `next` says, not even an empty one: it is
        the only page, or the path is misspelt."""
        path = self._config.next
        if not path or following is not None or reading.pages or reading.at:
            return
        parent, _, last = path.rpartition(".")
        inside = found(parent or "@", document)
        if not (isinstance(inside, dict) and last.strip('"') in inside):
            keys = ", ".join(map(str, document)) if isinstance(document, dict) else "no keys"
            self.doubt = (
                f"the first answer has nothing at next = {path!r}, so one page was read: if there"
                f" are more, the path is another one (it has {keys[:200]})"
            )

    def _is_same_page(self, rows: list[Any], reading: Reading) -> bool:
        """The page before again: what an API gives beyond its end. Raises ConfigurationError where
        already the second page is the first: then the API does not know the parameter."""
        mark = hash(tuple(str(found(self._config.id, row)) for row in rows))
        is_same, reading.mark = mark == reading.mark, mark
        if is_same and reading.pages == 1 and len(rows) > 1:
            name = self._config.param or self._config.pagination
            raise ConfigurationError(
                f"The second page of {self.name!r} is the first one again: the API does not take"
                f" the parameter {name!r} as it is sent.",
                hint="Check param, first and pagination against the API's documentation.",
            )
        return is_same


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _since(since: str, overlap_s: float, written: str) -> str | int:
    moment = datetime.fromisoformat(since).timestamp() - overlap_s
    if written == "iso":
        return (
            datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        )
    return int(moment * 1000) if written == "unix_ms" else int(moment)


def _next_link(answer: Answer) -> str | None:
    """https://datatracker.ietf.org/doc/html/rfc8288"""
    for target, parameters in _LINK.findall(answer.headers.get("link", "")):
        relations = re.search(r';\s*rel\s*=\s*"?([^";]+)"?', parameters)
        if relations and "next" in relations[1].lower().split():
            return str(target)
    return None
