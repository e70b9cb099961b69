"""Feeds as a source: RSS, Atom and JSON Feed, well-formed and not."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.conftest import DATA, needs_data
from tests.web_api import Asked, Said, WebApi
from worker.errors import ConfigurationError, WorkerError
from worker.records import Position, Record
from worker.sources.feed import FeedSourceConfig
from worker.sources.web.client import Answer
from worker.sources.web.feed import FeedSource, read
from worker.sources.web.markup import to_text

FEEDS = DATA / "robustness" / "feeds"

RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Shop talk</title>
<language>en-gb</language>
<item><guid>a-1</guid><title>Late again</title><link>https://shop.example/a-1</link>
<pubDate>Tue, 03 Mar 2026 10:00:00 +0100</pubDate><category>delivery</category>
<description>&lt;p&gt;Two hours. &lt;b&gt;Awful&lt;/b&gt; service.&lt;/p&gt;</description></item>
<item><link>https://shop.example/b</link>
<description>Lovely lamp &amp;amp; cord</description></item>
<item><title>No id at all</title></item>
</channel></rss>"""

ATOM = b"""<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">
<title>Forum</title><entry><id>tag:forum.example,2026:7</id><title type="html">Great &lt;i&gt;sofa&lt;/i&gt;</title>
<updated>2026-03-04T08:00:00Z</updated><author><name>ana</name></author>
<summary>short</summary><content type="xhtml" xml:lang="de"><div xmlns="http://www.w3.org/1999/xhtml">
<p>Das Sofa ist toll.</p><script>alert(1)</script></div></content></entry></feed>"""  # noqa: E501

JSON_FEED = {
    "version": "https://jsonfeed.org/version/1.1", "title": "Notes", "language": "en",
    "items": [
        {"id": "1", "content_text": "I love it.", "date_published": "2026-03-05T09:00:00+01:00",
         "authors": [{"name": "ben"}], "tags": ["praise"], "url": "https://notes.example/1"},
        {"url": "https://notes.example/2", "title": "Meh", "content_html": "<p>It broke.</p>"},
        "no item",
    ],
}  # fmt: skip


@pytest.fixture
def api() -> Iterator[WebApi]:
    with WebApi() as api:
        yield api


def serves(api: WebApi, body: Any, **headers: str) -> None:
    api.hurdle = lambda asked, n: Said(200, body, headers)


class Reader:
    def __init__(self, api: WebApi, **more: Any) -> None:
        told = {"name": "s", "url": api.url("feed"), "allow_private": ["127.0.0.1"]} | more
        self.config = FeedSourceConfig.model_validate(told)
        self.positions: dict[str, Position] = {}
        self.refusals: list[str] = []

    def read(self) -> list[Record]:
        found: list[Record] = []
        for page in FeedSource(self.config).pages(self.positions):
            self.positions[page.partition] = json.loads(json.dumps(page.position))
            found += page.records
            self.refusals += [refusal.reason for refusal in page.refusals]
        return found


def test_rss(api: WebApi) -> None:
    serves(api, RSS)
    reader = Reader(api, tags=["category", "feed"])
    first, second = reader.read()
    assert (first.external_id, first.text) == ("a-1", "Late again\n\nTwo hours. Awful service.")
    assert first.published_at
    assert first.published_at.isoformat() == "2026-03-03T09:00:00+00:00"
    assert first.language == "en-gb"
    assert first.tags == {"category": "delivery", "feed": "Shop talk"}
    assert (second.external_id, second.text) == ("https://shop.example/b", "Lovely lamp & cord")
    assert reader.refusals == ["no usable id in 'id'"]


def test_atom_takes_the_whole_content_without_its_markup(api: WebApi) -> None:
    serves(api, ATOM)
    (entry,) = Reader(api).read()
    assert entry.external_id == "tag:forum.example,2026:7"
    assert entry.text == "Great sofa\n\nDas Sofa ist toll."
    assert entry.author == "ana"


def test_json_feed(api: WebApi) -> None:
    serves(api, JSON_FEED)
    first, second = Reader(api, tags=["category"]).read()
    assert (first.text, first.author, first.tags) == ("I love it.", "ben", {"category": "praise"})
    assert (second.external_id, second.text) == ("https://notes.example/2", "Meh\n\nIt broke.")


def test_odd_people_in_a_json_feed_are_nobody(api: WebApi) -> None:
    items = [
        {"id": n, "content_text": "a", "authors": people}
        for n, people in enumerate(({"name": "b"}, [], ["c"], [{"name": "d"}]), 1)
    ]
    serves(api, JSON_FEED | {"items": items})
    assert [record.author for record in Reader(api).read()] == [None, None, None, "d"]


def test_what_did_not_change_is_not_sent_again(api: WebApi) -> None:
    def hurdle(asked: Asked, n: int) -> Said:
        known = asked.headers.get("if-none-match"), asked.headers.get("if-modified-since")
        if known == ('"v1"', "Tue, 03 Mar 2026 10:00:00 GMT"):
            return Said(304)
        headers = {"ETag": '"v1"', "Last-Modified": "Tue, 03 Mar 2026 10:00:00 GMT"}
        return Said(200, RSS, headers)

    api.hurdle = hurdle
    reader = Reader(api)
    assert len(reader.read()) == 2
    assert reader.read() == []
    reader.config = FeedSourceConfig.model_validate(
        {"name": "s", "url": api.url("feed"), "allow_private": ["127.0.0.1"], "tags": ["link"]}
    )
    assert len(reader.read()) == 2, "with other tags it is another reading"


@pytest.mark.parametrize(
    "body", [b"<html><head><title>A page</title></head><body>no feed</body></html>", b"", b"plain",
             b'{"hello": 1}', b"{broken"],
)  # fmt: skip
def test_what_is_no_feed_is_told_so(api: WebApi, body: bytes) -> None:
    serves(api, body)
    with pytest.raises(WorkerError, match=r"no feed|instead of JSON"):
        Reader(api).read()


BOMB = (
    b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "xxxxxxxxxx">"""
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"""]><rss version="2.0"><channel><item><guid>1</guid>
<title>&j;</title></item></channel></rss>"""
)

EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/hostname">]>
<rss version="2.0"><channel><item><guid>1</guid><title>a &x; b</title></item></channel></rss>"""


@pytest.mark.parametrize("body", [BOMB, EXTERNAL], ids=["bomb", "external"])
def test_entities_neither_grow_nor_reach_out(api: WebApi, body: bytes) -> None:
    serves(api, body)
    texts = [record.text for record in Reader(api).read()]
    assert all(len(text) < 1_000 for text in texts)
    assert Path("/etc/hostname").read_text().strip() not in " ".join(texts)


def test_an_answer_is_never_taken_for_a_file_s_name(api: WebApi, tmp_path: Path) -> None:
    local = tmp_path / "local.xml"
    local.write_bytes(RSS)
    for body in (str(local), f"file://{local}", api.url("other")):
        serves(api, body.encode())
        with pytest.raises(ConfigurationError, match="no feed"):
            Reader(api).read()


def test_a_key_in_the_address_is_not_kept(api: WebApi) -> None:
    serves(api, RSS)
    reader = Reader(api, url=api.url("feed?token=hunter2"))
    reader.read()
    assert "hunter2" not in json.dumps(reader.positions)


def test_markup_becomes_lines() -> None:
    assert to_text("<p>One</p><p>two<br>three</p><style>p{}</style> &eacute;") == (
        "One\n\ntwo\nthree\né"
    )
    assert to_text("a < b and c > d") == "a < b and c > d"
    assert to_text("no   markup\tat all") == "no markup at all"
    assert to_text("<div>" * 5_000 + "deep") == "deep"


# An expression of feedparser's own tests, of one value of the first entry.
EXPECTED = re.compile(
    r"entries\[0\]\['(id|title|link|author|summary|description|content)'\](?:\[0\]\['value'\])?"
    r" == u?'((?:[^'\\]|\\.)*)'(?! \+)"
)
DATED = re.compile(
    r"entries\[0\]\['(?:published|updated)_parsed'\] == \((\d+), (\d+), (\d+), (\d+)"
)


@needs_data
def test_two_thousand_feeds_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    """feedparser's own: none crashes; and where the first comment says what to expect of an entry's
    id, title, link, author, content or time, that is in the record, as text."""
    files = sorted(FEEDS.rglob("*.xml"))
    assert len(files) == 2_106
    refused, wrong, told = 0, [], 0
    for file in files:
        body = file.read_bytes()
        answer = Answer("http://127.0.0.1/x", 200, {"content-type": "application/xml"}, body)
        try:
            with structlog.testing.capture_logs():
                rows = list(read(answer))
        except ConfigurationError:
            refused += 1
            continue
        said = body[:2_000].decode("utf-8", "replace")
        if rows and (expected := EXPECTED.search(said)):
            told += 1
            value = ast.literal_eval(f"'{expected[2]}'")
            if not _is_in(rows[0], expected[1], value):
                wrong.append(file.name)
        elif rows and (dated := DATED.search(said)):
            told += 1
            wrong += [] if _is_at(rows[0], dated.groups()) else [file.name]
    with capsys.disabled():
        print(f"\n  {len(files):,} feeds: none crashed, {refused} are none; of {told} with an"
              f" expectation of the first entry {told - len(wrong)} hold")  # fmt: skip
    assert refused < 20
    assert told > 700
    assert len(wrong) < 0.03 * told, wrong


def _is_in(row: dict[str, Any], name: str, value: str) -> bool:
    if name in ("id", "link", "author"):
        return bool(row[name] == value)
    return to_text(value) in str(row["text"])


def _is_at(row: dict[str, Any], parts: tuple[str, ...]) -> bool:
    year, month, day, hour = map(int, parts)
    return bool(row["time"] and row["time"].startswith(f"{year}-{month:02}-{day:02}T{hour:02}"))
