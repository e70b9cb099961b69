"""A kind of source: threads of a forum, a JSON file each with posts that are numbered.

[[source]]
name = "forum"
kind = "forum"
threads = "threads"
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from worker.errors import SourceUnavailable
from worker.ports import Source
from worker.records import Page, Position, Record, Refusal, Remark
from worker.sources.config import SourceConfig
from worker.sources.kinds import Kind, Opening
from worker.sources.rows.columns import RowRefused
from worker.sources.rows.mapping import RecordMaker

PAGE_POSTS = 100


class ForumConfig(SourceConfig):
    kind: Literal["forum"] = "forum"
    threads: Path
    """A folder of JSON files."""


class Forum:
    """`worker.ports.Source` over a folder of threads; a thread is a partition."""

    remark: Remark | None = None

    def __init__(self, config: ForumConfig) -> None:
        self.name = config.name
        self._config = config

    def size(self) -> int | None:
        return None

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        try:
            threads = sorted(self._config.threads.iterdir())
        except OSError as error:
            raise SourceUnavailable(f"The threads cannot be read: {error.strerror}.") from error
        for thread in threads:
            yield from self._new_posts(thread, positions.get(thread.name, {}).get("after", 0))

    def _new_posts(self, thread: Path, after: int) -> Iterator[Page]:
        posts = json.loads(thread.read_text(encoding="utf-8"))
        mapping = RecordMaker(self._config.layout, ["id", "text"], file=thread.name)
        new = [post for post in posts if post["number"] > after]
        for page in _in_pages(new):
            records: list[Record] = []
            refused: list[Refusal] = []
            for post in page:
                row = {"id": f"{thread.stem}-{post['number']}", "text": post.get("said")}
                try:
                    records.append(mapping.record(row))
                except RowRefused as error:
                    refused.append(Refusal(row["id"], str(error), json.dumps(post).encode()))
            position = {"after": page[-1]["number"]}
            yield Page(thread.name, position, records, refused, identity=mapping.identity)


def _in_pages(posts: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(posts), PAGE_POSTS):
        yield posts[start : start + PAGE_POSTS]


def open_source(config: ForumConfig, _: Opening) -> Source:
    return Forum(config)


KIND = Kind("forum", "threads of a forum, a JSON file each", ForumConfig, open_source)
