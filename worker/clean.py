"""Pure: a source's text -> the text that is stored, and the text that the model reads.

Cleaning happens once, before the database and the Lambda alike: PostgreSQL's text takes no
NUL, UTF-8 takes no lone surrogate, and neither refusal may sink a chunk.
"""

from __future__ import annotations

import html
import re
from hashlib import blake2b
from typing import NamedTuple

MAX_STORED_CHARS = 1_000_000
"""A longer text is stored cut (flag "cut"): PostgreSQL would take 1 GB, a page would not."""

MAX_MODEL_CHARS = 20_000
"""What is sent of a text at most: 4,000 English words, far beyond what a model reads."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|<!--|&(?:[a-zA-Z]{2,8}|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)[^<>]*>|<!--[^<>]*-->")
_SPACE = re.compile(r"\s+")
_BLOCKS = frozenset("p br div li ul ol tr td th h1 h2 h3 h4 h5 h6 blockquote".split())
_UNREAD = frozenset(("script", "style"))


class Cleaned(NamedTuple):
    text: str
    content_hash: bytes
    original_hash: bytes | None
    flags: tuple[str, ...]
    skip_reason: str | None


def content_hash(text: str) -> bytes:
    """16 bytes of BLAKE2b over the UTF-8 of `text`: no collision is to be met below 2**64 texts."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def clean(text: str) -> Cleaned:
    """Make `text` storable; say in `flags` what was done: nul, surrogate, cut.

    The common case, nothing to mend, costs a few scans in C.
    """
    if "\0" not in text and not _has_surrogate(text) and len(text) <= MAX_STORED_CHARS:
        return Cleaned(text, content_hash(text), None, (), _skip_reason(text))
    flags: list[str] = []
    mended = text
    if "\0" in mended:
        mended = mended.replace("\0", "")
        flags.append("nul")
    if _has_surrogate(mended):
        # A pair written as two escapes is a character; only a lone half is lost.
        mended = mended.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        flags.append("surrogate")
    if len(mended) > MAX_STORED_CHARS:
        mended = mended[:MAX_STORED_CHARS]
        flags.append("cut")
    return Cleaned(
        mended, content_hash(mended), content_hash(text), tuple(flags), _skip_reason(mended)
    )


def storable(value: str) -> str:
    """An id, author or tag without what PostgreSQL refuses."""
    if "\0" not in value and not _has_surrogate(value):
        return value
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value.replace("\0", ""))


def model_text(text: str) -> str:
    """What the model reads of a stored text: no markup, no entities, a bounded length."""
    if len(text) > MAX_MODEL_CHARS:
        text = text[:MAX_MODEL_CHARS]
    if ("<" in text or "&" in text) and _MARKUP.search(text):
        text = _strip_markup(text)
    return text


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and _SURROGATE.search(text) is not None


def _skip_reason(text: str) -> str | None:
    return "empty" if not text or text.isspace() else None


def _strip_markup(text: str) -> str:
    """Tags go, block tags leave a space, scripts and styles go whole, entities become characters.

    One linear pass: a parser of HTML proper takes seconds over hostile text, and raises.
    """
    parts: list[str] = []
    end = 0
    unread = ""
    for tag in _TAG.finditer(text):
        closing, name = tag[1], (tag[2] or "").lower()
        if not unread:
            parts.append(text[end : tag.start()])
            if name in _BLOCKS:
                parts.append(" ")
            elif name in _UNREAD and not closing:
                unread = name
        elif closing and name == unread:
            unread = ""
        end = tag.end()
    if not unread:
        parts.append(text[end:])
    stripped = _SPACE.sub(" ", html.unescape("".join(parts))).strip()
    # "&nbsp;" alone, or a lone <img>: keep the source's text rather than send nothing.
    return stripped or text
