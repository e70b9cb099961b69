"""Records of a JSON API.

The cursor holds the newest time that was read, and moves when a reading has come to its end. While
it lasts, the place in it is kept beside, so that a run that was killed goes on there.

Pages by number or offset shift while they are read, when records come or go: what moves to a page
that was read already would be missed. By offset, each page begins with the last record of the page
before, and where that one is not there, the reading steps back. By number, a reading of several
pages is done again until one brings nothing new; where none does, the newest time does not move,
and the next run asks for the same records again. Cursors and links are the API's own to keep.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any
from urllib.parse import urljoin, urlsplit

from pydantic import SecretStr

from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Page, Position, Record, Refusal, Remark
from worker.sources.http import FIELDS, HttpSourceConfig
from worker.sources.rows import identity
from worker.sources.rows.columns import RowRefused
from worker.sources.rows.mapping import RecordMaker
from worker.sources.web.client import Answer, Client, asking, require_web, shown
from worker.sources.web.paths import found

log = get_logger(__name__)

READINGS = 3
"""Of pages by number, at most, until one brings nothing new."""

MAX_PAGES = 1_000_000
REMEMBERED = 500_000
"""Records of a reading that may shift, some 60 bytes each: more are not looked for again."""

_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[^=,;"]+(?:="[^"]*"|=[^,;]*)?)*)')


@dataclass(slots=True)
class _Reading:
    """One pass over the pages, however many runs it takes."""

    name: str
    at: dict[str, Any] | None = None
    """The place of the next page: {"url"}, {"cursor"}, {"page"} or {"offset"}; None: the first."""
    newest: str = ""
    """The newest time so far, ISO 8601 in UTC."""
    last_id: str = ""
    """Of the page before, for pages by offset."""
    round: int = 0
    """How often all pages were read before."""
    pages: int = 0
    """With records, read in this round by this process."""
    etag: str | None = None
    """Of an answer that was all there is."""
    seen: set[int] | None = None
    """Marks of the records so far, where they may shift."""
    is_new: bool = False
    """Did this round bring a record that no round before had?"""


Rows = tuple[list[Record], list[Refusal]]


class HttpSource:
    """`worker.ports.Source` over a JSON API."""

    remark: Remark | None = None

    def __init__(self, config: HttpSourceConfig) -> None:
        self.name = config.name
        self._config = config
        self._digest = _digest(config)

    def size(self) -> int | None:
        return None

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        position = dict(positions.get("", {}))
        c = self._config
        names = [name for name in FIELDS if getattr(c, name)] + [*c.tag_paths]
        maker = RecordMaker(c.layout, names, file=self.name)
        identity.require_same(position, maker.identity, "")
        if position.get("layout") != self._digest:
            position = {}
        client = Client(asking(c))
        try:
            yield from self._readings(client, maker, position)
        finally:
            client.close()

    def _readings(self, client: Client, maker: RecordMaker, position: Position) -> Iterator[Page]:
        c = self._config
        was_resumed = "at" in position or "round" in position
        goes_on = was_resumed or (c.since and position.get("since"))
        reading = _Reading(
            position["reading"] if goes_on else token_hex(4),
            position.get("at"),
            position.get("newest", position.get("since", "")),
            position.get("last_id", ""),
            position.get("round", 0),
        )
        # Without `since` the next run reads everything anyhow.
        may_shift = c.pagination == "page" and (c.since or was_resumed)
        reading.seen = set() if may_shift else None
        while True:
            last = yield from self._pass(client, maker, position, reading)
            if last is None:
                return
            has_shifted = (
                may_shift
                and (reading.pages > 1 or was_resumed)
                and (not reading.round or reading.is_new)
            )
            reading.round += 1
            if not has_shifted:
                yield self._page(maker, position, reading, *last, moves=True)
                return
            if reading.round == READINGS:
                log.warning("web.pages_shift", source=self.name, readings=READINGS)
                reading.round = 0
                yield self._page(maker, position, reading, *last, moves=False)
                return
            yield self._page(maker, position, reading, *last, moves=False)
            reading.pages, reading.is_new, was_resumed = 0, False, False

    def _pass(
        self, client: Client, maker: RecordMaker, position: Position, reading: _Reading
    ) -> Generator[Page, None, Rows | None]:
        """All pages from where the reading stands; the last one is returned. None where nothing has
        changed since the last time."""
        while True:
            at = reading.at
            try:
                answer = self._asked(client, position, reading)
            except ConfigurationError:
                if at is None or self._config.pagination not in ("next", "cursor", "link"):
                    raise
                log.warning("web.cursor_expired", source=self.name)
                reading.at = None  # the API has forgotten the place: from the beginning
                continue
            if answer.status == 304:
                return None
            document = answer.json()
            rows = self._rows(document, answer)
            if self._has_shifted(rows, reading):
                continue
            known = 1 if reading.at and "offset" in reading.at and reading.last_id else 0
            following = self._following(answer, document, rows, reading, known)
            records, refusals = self._records(maker, rows[known:], reading)
            maker.raise_if_nothing_fits(records)
            reading.at = following
            reading.pages += bool(rows)
            if following is None:
                reading.etag = answer.headers.get("etag") if at is None else None
                return records, refusals
            if following == at or reading.pages > MAX_PAGES:
                raise SourceUnavailable(
                    f"{shown(answer.url)} names the same page as the next one, again and again."
                )
            yield self._page(maker, position, reading, records, refusals, moves=False)

    def _asked(self, client: Client, position: Position, reading: _Reading) -> Answer:
        c = self._config
        params = {name: _plain(value) for name, value in c.params.items()}
        body = dict(c.body) if c.body is not None else None
        if c.since and (since := position.get("since")):
            value = _since(since, c.overlap.total_seconds(), c.since_format)
            if body is not None and c.since in body:
                body[c.since] = value
            else:
                params[c.since] = str(value)
        at, url, headers = reading.at or {}, c.url, {}
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
        return client.ask(url, method=c.method, params=params, body=body, headers=headers)

    def _first(self) -> int | None:
        if self._config.pagination == "cursor":
            return None
        if self._config.first is not None:
            return self._config.first
        return 1 if self._config.pagination == "page" else 0

    def _rows(self, document: Any, answer: Answer) -> list[Any]:
        rows = found(self._config.records, document)
        if isinstance(rows, list):
            return rows
        there = ", ".join(map(str, document)) if isinstance(document, dict) else "a list"
        raise ConfigurationError(
            f"{shown(answer.url)} has no list of records at {self._config.records!r}.",
            hint=f'The answer has: {there[:200]}. Say where they are: records = "...".',
        )

    def _has_shifted(self, rows: list[Any], reading: _Reading) -> bool:
        """Of pages by offset: does the page not begin with the last record of the page before?
        Then the reading steps back by as many as there are, to the beginning at last."""
        at = reading.at or {}
        if self._config.pagination != "offset" or "offset" not in at or not reading.last_id:
            return False
        if rows and str(found(self._config.id, rows[0])) == reading.last_id:
            return False
        first, here = self._first() or 0, int(at["offset"])
        log.info("web.pages_shift", source=self.name, offset=here)
        back = max(first, here - max(1, len(rows)))
        reading.at = {"offset": back} if back > first else None
        reading.last_id = ""
        return True

    def _following(
        self, answer: Answer, document: Any, rows: list[Any], reading: _Reading, known: int
    ) -> dict[str, Any] | None:
        """The place of the next page; None: this was the last. So many rows of this one, at its
        beginning, were of the page before."""
        c = self._config
        if c.pagination == "none" or (c.stop and found(c.stop, document)):
            return None
        if c.pagination in ("next", "link"):
            target = found(c.next or "", document) if c.next else _next_link(answer)
            if not isinstance(target, str) or not target:
                return None
            target = urljoin(answer.url, target)
            require_web(target, self.name, was=answer.url)
            if urlsplit(target)[:2] != urlsplit(c.url)[:2]:
                raise ConfigurationError(
                    f"{shown(answer.url)} names a next page at another site, {shown(target)}.",
                    hint="Credentials are not taken there: name that site as the url.",
                )
            return {"url": target}
        if c.pagination == "cursor":
            cursor = found(c.next or "", document)
            return {"cursor": cursor} if isinstance(cursor, str | int) and cursor != "" else None
        if len(rows) <= known:
            return None
        at = int((reading.at or {}).get(c.pagination) or self._first() or 0)
        if c.pagination == "page":
            return {"page": at + 1}
        reading.last_id = str(found(c.id, rows[-1]))
        return {"offset": at + len(rows) - 1}

    def _records(self, maker: RecordMaker, rows: list[Any], reading: _Reading) -> Rows:
        records: list[Record] = []
        refusals: list[Refusal] = []
        for row in rows:
            flat = self._flat(row)
            try:
                record = maker.record(flat)
            except RowRefused as error:
                raw = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
                refusals.append(Refusal(f"id {str(flat.get('id'))[:100]}", str(error), raw))
                continue
            records.append(record)
            if record.published_at:
                moment = record.published_at.astimezone(UTC).isoformat()
                reading.newest = max(reading.newest, moment)
            mark = hash((record.external_id, record.content_hash))
            if reading.seen is None or mark in reading.seen:
                continue
            if len(reading.seen) < REMEMBERED:
                reading.is_new = True
                reading.seen.add(mark)
        return records, refusals

    def _flat(self, row: Any) -> dict[str, Any]:
        """A record's fields under the names of the layout."""
        c = self._config
        flat = {name: found(path, row) for name in FIELDS if (path := getattr(c, name))}
        if isinstance(flat.get("text"), list):  # several fields: a title, and what follows
            flat["text"] = "\n\n".join(str(part) for part in flat["text"] if part)
        flat |= {name: found(path, row) for name, path in c.tag_paths.items()}
        return flat

    def _page(
        self,
        maker: RecordMaker,
        position: Position,
        reading: _Reading,
        records: list[Record],
        refusals: list[Refusal],
        *,
        moves: bool,
    ) -> Page:
        """`moves`: the reading is over, and its newest time is where the next one begins."""
        here: dict[str, Any] = {"layout": self._digest, "reading": reading.name}
        if moves:
            here["since"] = reading.newest
            if reading.etag:
                here["etag"] = reading.etag
        else:
            if "since" in position:
                here["since"] = position["since"]
            here["newest"] = reading.newest
            if reading.round:
                here["round"] = reading.round
            if reading.at is not None and self._is_storable(reading.at):
                here |= {"at": reading.at, "last_id": reading.last_id}
        return Page(
            *("", here, records, refusals),
            identity=maker.identity,
            reading=reading.name,
            complete=moves,
        )

    def _is_storable(self, at: Mapping[str, Any]) -> bool:
        """A next URL may hold a key: then it is not kept, and a killed run begins anew."""
        said = json.dumps(at)
        return not any(secret in said for secret in _secrets(self._config))


def _secrets(config: HttpSourceConfig) -> list[str]:
    values: list[Any] = [*config.headers.values()]
    if config.auth is not None:
        values += [getattr(config.auth, name) for name in type(config.auth).model_fields]
    return [v.get_secret_value() for v in values if isinstance(v, SecretStr)]


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


def _digest(config: HttpSourceConfig) -> str:
    """Changes when a reading would give other records; secrets do not count."""
    kept = ("url", "method", "body", "records", *FIELDS, "pagination", "next", "time_format")
    said = [str(getattr(config, name)) for name in kept]
    said += [f"{k}={v}" for k, v in sorted(config.params.items())]
    said += [json.dumps(config.tag_paths, sort_keys=True), str(config.timezone)]
    return hashlib.blake2b("\0".join(said).encode(), digest_size=6).hexdigest()
