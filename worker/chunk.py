"""Pure: records that want a score -> chunks.

By count and by serialised bytes, texts of similar length together (a batch costs its longest
text), identical texts sent once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring

from worker.clean import model_text
from worker.records import Item, Member

ENVELOPE_BYTES = 256
"""What a request holds beside its texts and ids (see `worker.scoring.wire`)."""

ID_BYTES = 24
"""One id in the request: 19 digits, two quotes, a comma, and room."""


def distinct(texts: Iterable[tuple[Member, str]]) -> list[Item]:
    """Group members by what the model would read of their stored text."""
    members: dict[str, list[Member]] = {}
    for member, text in texts:
        members.setdefault(model_text(text), []).append(member)
    return [Item(text, tuple(holders)) for text, holders in members.items()]


def plan(items: Iterable[Item], *, max_items: int, max_bytes: int) -> Iterator[tuple[Item, ...]]:
    """Cut `items` into chunks of at most `max_items` texts and `max_bytes` serialised bytes.

    A text that alone exceeds `max_bytes` gets a chunk of its own. The order is by length,
    so a chunk's texts are of similar length.
    """
    chunk: list[Item] = []
    size = ENVELOPE_BYTES
    fair = (max_bytes - ENVELOPE_BYTES) // max_items
    for item in sorted(items, key=_length):
        cost = at_most_bytes(item.text)
        if cost > fair:  # only a text that could crowd out others is worth measuring
            cost = serialised_bytes(item.text)
        if chunk and (len(chunk) >= max_items or size + cost > max_bytes):
            yield tuple(chunk)
            chunk, size = [], ENVELOPE_BYTES
        chunk.append(item)
        size += cost
    if chunk:
        yield tuple(chunk)


def serialised_bytes(text: str) -> int:
    """Bytes that `text` takes in a request: JSON escapes can triple it."""
    return len(encode_basestring(text).encode()) + 1 + ID_BYTES


def at_most_bytes(text: str) -> int:
    """No less than `serialised_bytes`, for next to nothing: an escaped control takes 6 bytes."""
    return 6 * len(text) + 3 + ID_BYTES


def split(items: Sequence[Item], ways: int) -> list[tuple[Item, ...]]:
    """Cut a failing chunk into up to `ways` parts of nearly equal count, none empty.

    Three ways find one culprit among n in 3 log3(n) calls; two ways need 2 log2(n), 6 % more.
    """
    ways = min(ways, len(items))
    size, extra = divmod(len(items), ways)
    parts: list[tuple[Item, ...]] = []
    start = 0
    for part in range(ways):
        end = start + size + (part < extra)
        parts.append(tuple(items[start:end]))
        start = end
    return parts


def _length(item: Item) -> int:
    return len(item.text)
