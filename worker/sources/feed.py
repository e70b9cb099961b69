"""Feeds: RSS, Atom and JSON Feed."""

from __future__ import annotations

from typing import Literal

from worker.ports import Source
from worker.sources.http import WebConfig, needs_web
from worker.sources.kinds import Kind, Opening
from worker.sources.rows.layout import Layout

TAGS = ("category", "feed", "link")


class FeedSourceConfig(WebConfig):
    kind: Literal["feed"] = "feed"
    tags: tuple[Literal["category", "feed", "link"], ...] = ()
    """An entry's first category, the feed's title, the entry's link."""

    @property
    def layout(self) -> Layout:
        """Entries say their id, time, author and language themselves."""
        return Layout("id", "text", "time", "author", "language", tuple(self.tags))


def open_source(config: FeedSourceConfig, _: Opening) -> Source:
    with needs_web(config.name):
        from worker.sources.web.feed import FeedSource
    return FeedSource(config)


KIND = Kind("feed", "entries of a feed: RSS, Atom, JSON Feed", FeedSourceConfig, open_source)
