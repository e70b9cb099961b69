"""The wire format, as the function speaks it. Pure.

Request   {"texts": [...], "ids": [...], "chunk_id": "17", "attempt": 1}; only texts is needed
Answer    {"results": [{"sentiment", "score", "polarity"}, ...], "count": n, "model": "...",
           "model_version": "...", "languages": ["de", "en"], and what was sent beside the texts};
          a result says its "language" where that was detected

With "features": true the results are {"pooled": [...], "logits": [...]}, for `model adapt`: 4 KB a
text.

One result a text, in order. A text that is none gets {"error": "..."} in its place, and sinks
nobody else. `sentiment_function.faces` puts the answer into the envelope that the caller expects.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_FEATURES = 500
"""Texts whose features are asked for at once."""

MAX_TEXTS = 50_000
"""A result takes about 100 bytes, and an answer of over 6 MB is lost after it was paid for. The
request's own limit of 6 MB, and the function's timeout, are usually met first.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

ECHOED = ("ids", "chunk_id", "attempt")
MAX_ECHOED = 256 * 1024
"""Bytes."""


class BadRequest(ValueError):
    """The request is not one; the message says why, and never quotes it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        """As in HTTP."""


@dataclass(frozen=True, slots=True)
class Sentiment:
    label: str
    score: float
    """Probability of `label`, in [0, 1]."""
    polarity: float
    """In [-1, 1]: what the labels' polarities amount to, each by its probability."""
    tokens: int = 0
    """That the model read."""
    windows: int = 1
    """In how many pieces the model read the text."""
    truncated: bool = False
    """The model read only the beginning."""
    language: str | None = None
    """As it was detected; None where that is unsure."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A text that is none."""

    reason: str


@dataclass(frozen=True, slots=True)
class Features:
    """What the encoder says of a text, for whoever adapts the model: see `head`."""

    pooled: list[float]
    logits: list[float]


Result = Sentiment | Refused | Features


def texts_of(request: Any) -> list[Any]:
    """The texts of a request, some of which may be none. Raises BadRequest."""
    texts = request.get("texts") if isinstance(request, dict) else None
    if not isinstance(texts, list):
        raise BadRequest('send {"texts": ["...", "..."]}')
    if len(texts) > MAX_TEXTS:
        raise BadRequest(f"send at most {MAX_TEXTS:,} texts at once, not {len(texts):,}")
    if request.get("features") and not (
        len(texts) <= MAX_FEATURES and all(isinstance(text, str) for text in texts)
    ):
        raise BadRequest(f"features are told of at most {MAX_FEATURES} texts at once")
    ids = request.get("ids")
    if ids is not None and not (isinstance(ids, list) and len(ids) == len(texts)):
        raise BadRequest("ids must be a list, one a text")
    if not _can_be_echoed([request.get(name) for name in ECHOED]):
        raise BadRequest(
            "ids, chunk_id and attempt must be text in UTF-8 and finite numbers, "
            f"{MAX_ECHOED // 1024} KB together at most"
        )
    return texts


def _can_be_echoed(value: Any) -> bool:
    """AWS's runtime client writes JSON in UTF-8, and dies of half a surrogate pair; NaN is not
    JSON; and an answer of over 6 MB is lost after it was paid for."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    return len(written) <= MAX_ECHOED


def answer(
    request: dict[str, Any],
    results: Sequence[Result],
    *,
    model: str,
    version: str,
    languages: Sequence[str] = (),
) -> dict[str, Any]:
    """`languages` are those that the model reads; none where it does not say."""
    body = {
        "results": [_result(result) for result in results],
        "count": len(results),
        "model": model,
        "model_version": version,
    }
    if languages:
        body["languages"] = list(languages)
    body.update({name: request[name] for name in ECHOED if name in request})
    return body


def _result(result: Result) -> dict[str, Any]:
    if isinstance(result, Refused):
        return {"error": result.reason}
    if isinstance(result, Features):
        return {"pooled": result.pooled, "logits": result.logits}
    found: dict[str, Any] = {
        "sentiment": result.label,
        "score": result.score,
        "polarity": result.polarity,
    }
    if result.windows > 1:
        found["windows"] = result.windows
    if result.truncated:
        found["truncated"] = True
    if result.language:
        found["language"] = result.language
    return found
