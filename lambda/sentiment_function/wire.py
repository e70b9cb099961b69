"""The wire format, as the function speaks it. Pure.

Request   {"texts": [...], "ids": [...], "chunk_id": "17", "attempt": 1}; only texts is needed
Answer    {"statusCode": 200, "body": {"results": [{"sentiment", "score", "polarity"}, ...],
           "count": n, "model": "...", "model_version": "...", and what was sent beside the texts}}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_TEXTS = 1_000
ECHOED = ("ids", "chunk_id", "attempt")


class BadRequest(ValueError):
    """The request is not one; the message says why, and never quotes it."""


@dataclass(frozen=True, slots=True)
class Sentiment:
    label: str
    score: float
    """Probability of `label`, in [0, 1]."""
    polarity: float
    """In [-1, 1]."""
    truncated: bool = False
    """The model read only the beginning."""


def texts_of(event: Any) -> list[str]:
    """The texts of a request. Raises BadRequest."""
    texts = event.get("texts") if isinstance(event, dict) else None
    if not isinstance(texts, list):
        raise BadRequest('send {"texts": [...]}')
    if len(texts) > MAX_TEXTS:
        raise BadRequest(f"send at most {MAX_TEXTS} texts at once, not {len(texts)}")
    if not all(isinstance(text, str) for text in texts):
        raise BadRequest("every text must be a string")
    return texts


def answer(
    event: dict[str, Any], sentiments: Sequence[Sentiment], *, model: str, version: str
) -> dict[str, Any]:
    body = {
        "results": [_result(sentiment) for sentiment in sentiments],
        "count": len(sentiments),
        "model": model,
        "model_version": version,
    }
    body.update({name: event[name] for name in ECHOED if name in event})
    return {"statusCode": 200, "body": body}


def refusal(reason: BadRequest) -> dict[str, Any]:
    return {"statusCode": 400, "body": {"error": str(reason)}}


def _result(sentiment: Sentiment) -> dict[str, Any]:
    result: dict[str, Any] = {
        "sentiment": sentiment.label,
        "score": sentiment.score,
        "polarity": sentiment.polarity,
    }
    if sentiment.truncated:
        result["truncated"] = True
    return result
