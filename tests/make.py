"""Short ways to make the values that tests need."""

from __future__ import annotations

from typing import Any

from worker.clean import content_hash
from worker.records import Chunk, Item, Lane, Member, Record


def record(external_id: str, text: str, **more: Any) -> Record:
    skip = "empty" if not text.strip() else None
    return Record(external_id, text, content_hash(text), skip_reason=skip, **more)


def chunk(*texts: str, **more: Any) -> Chunk:
    items = tuple(Item(text, (Member(n, content_hash(text)),)) for n, text in enumerate(texts, 1))
    values: dict[str, Any] = {"id": 7, "lane": Lane(1), "items": items, "root_id": 7} | more
    return Chunk(**values)
