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
from collections.abc import Generator, Iterator, Mapping
from datetime import UTC
from secrets import token_hex
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Page, Position, Record, Refusal, Remark
from worker.sources.http import HttpSourceConfig
from worker.sources.json_records import FIELDS
from worker.sources.rows import identity, paths
from worker.sources.rows.columns import RowRefused
from worker.sources.rows.mapping import RecordMaker
from worker.sources.rows.paths import found
from worker.sources.web import auth
from worker.sources.web.client import Answer, Client, asking, shown
from worker.sources.web.paging import Pager, Reading

log = get_logger(__name__)

READINGS = 3
"""Of pages by number, at most, until one brings nothing new."""

MAX_PAGES = 1_000_000
REMEMBERED = 500_000
"""Records of a reading that may shift, some 60 bytes each: more are not looked for again."""

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
        pager = Pager(c, client)
        self.remark = None
        try:
            yield from self._readings(pager, maker, position)
            if pager.doubt and not position:  # of the first reading: later ones are often one page
                self.remark = Remark(pager.doubt)
        finally:
            client.close()

    def _readings(self, pager: Pager, maker: RecordMaker, position: Position) -> Iterator[Page]:
        c = self._config
        was_resumed = "at" in position or "round" in position
        goes_on = was_resumed or (c.since and position.get("since"))
        reading = Reading(
            position["reading"] if goes_on else token_hex(4),
            position.get("at"),
            position.get("newest", position.get("since", "")),
            position.get("last_id", ""),
            position.get("size", 0),
            round=position.get("round", 0),
        )
        # Without `since` the next run reads everything anyhow.
        may_shift = c.pagination == "page" and (c.since or was_resumed)
        reading.seen = set() if may_shift else None
        while True:
            last = yield from self._pass(pager, maker, position, reading)
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
        self, pager: Pager, maker: RecordMaker, position: Position, reading: Reading
    ) -> Generator[Page, None, Rows | None]:
        """All pages from where the reading stands; the last one is returned. None where nothing has
        changed since the last time."""
        while True:
            at = reading.at
            try:
                answer = pager.asked(position, reading)
            except ConfigurationError:
                # Only a place that was stored may have been forgotten since.
                if at is None or at != position.get("at") or reading.restarts:
                    raise
                reading.restarts += 1
                log.warning("web.cursor_expired", source=self.name)
                reading.at = None  # the API has forgotten the place: from the beginning
                continue
            if answer.status == 304:
                return None
            document = answer.json()
            rows = self._rows(document, answer)
            known = pager.known(rows, reading)
            if known is None:
                continue
            following = pager.following(answer, document, rows, reading)
            if not reading.pages and at is None:
                self._require_fields(rows, answer)
            records, refusals = self._records(maker, rows[known:], reading)
            maker.raise_if_nothing_fits(records)
            reading.at = following
            reading.pages += bool(rows)
            if following is None:
                reading.etag = answer.headers.get("etag") if at is None else None
                return records, refusals
            if following == at:
                raise SourceUnavailable(f"{shown(answer.url)} names itself as the next page.")
            if reading.pages > MAX_PAGES:
                raise SourceUnavailable(f"{shown(answer.url)} has more than {MAX_PAGES:,} pages.")
            yield self._page(maker, position, reading, records, refusals, moves=False)

    def _rows(self, document: Any, answer: Answer) -> list[Any]:
        rows = found(self._config.records, document)
        if isinstance(rows, list):
            return rows
        keys = ", ".join(map(str, document)) if isinstance(document, dict) else ""
        there = f"keys {keys}" if keys else f"a JSON {type(document).__name__}"
        raise ConfigurationError(
            f"{shown(answer.url)} has no list of records at {self._config.records!r}.",
            hint=f'The answer has: {there[:200]}. Say where they are: records = "...".',
        )

    def _require_fields(self, rows: list[Any], answer: Answer) -> None:
        """Raises ConfigurationError where no record of the first page has a text, or a time: the
        path is misspelt, and every record would be empty, or of the day of its arrival."""
        for name in ("text", "time"):
            path = getattr(self._config, name)
            values = [found(path, row) for row in rows] if path else []
            if values and all(value in (None, [], [None]) for value in values):
                keys = ", ".join(map(str, rows[0])) if isinstance(rows[0], dict) else "no keys"
                raise ConfigurationError(
                    f"No record of {shown(answer.url)} has anything at {name} = {path!r}.",
                    hint=f"The first one has: {keys[:200]}.",
                )

    def _records(self, maker: RecordMaker, rows: list[Any], reading: Reading) -> Rows:
        records: list[Record] = []
        refusals: list[Refusal] = []
        fields = {name: getattr(self._config, name) for name in FIELDS}
        for row in rows:
            flat = paths.flat(row, fields, self._config.tag_paths)
            try:
                record = maker.record(flat)
            except RowRefused as error:
                raw = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
                refusals.append(Refusal(f"id {str(flat.get('id'))[:100]}", str(error), raw))
                continue
            records.append(record)
            # A time of the future would keep what comes until then from being asked for.
            if record.published_at and record.published_at <= reading.began:
                moment = record.published_at.astimezone(UTC).isoformat()
                reading.newest = max(reading.newest, moment)
            mark = hash((record.external_id, record.content_hash))
            if reading.seen is None or mark in reading.seen:
                continue
            if len(reading.seen) < REMEMBERED:
                reading.is_new = True
                reading.seen.add(mark)
        return records, refusals

    def _page(
        self,
        maker: RecordMaker,
        position: Position,
        reading: Reading,
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
                here |= {"at": reading.at, "last_id": reading.last_id, "size": reading.size}
        return Page(
            *("", here, records, refusals),
            identity=maker.identity,
            reading=reading.name,
            complete=moves,
        )

    def _is_storable(self, at: Mapping[str, Any]) -> bool:
        """A next URL may hold a key: then it is not kept, and a killed run begins anew."""
        said = json.dumps(at)
        return not any(s in said or s in unquote(said) for s in _secrets(self._config) if s)


def _secrets(config: HttpSourceConfig) -> list[str]:
    values: list[Any] = [*config.headers.values()]
    if config.auth is not None:
        values += [getattr(config.auth, name) for name in type(config.auth).model_fields]
    return [v.get_secret_value() for v in values if isinstance(v, SecretStr)] + auth.tokens()


def _digest(config: HttpSourceConfig) -> str:
    """Changes when a reading would give other records; secrets do not count."""
    kept = ("url", "method", "body", "records", *FIELDS, "pagination", "next", "time_format")
    said = [str(getattr(config, name)) for name in kept]
    said += [f"{k}={v}" for k, v in sorted(config.params.items())]
    said += [json.dumps(config.tag_paths, sort_keys=True), str(config.timezone)]
    return hashlib.blake2b("\0".join(said).encode(), digest_size=6).hexdigest()
