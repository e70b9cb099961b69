"""What the function's encoder says of texts, for whoever adapts its model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from worker.errors import WorkerError
from worker.records import Failure
from worker.scoring.invoke import Invoker
from worker.scoring.target import LambdaTarget

AT_ONCE = 100
"""Texts of a call: 4 KB each."""

Features = tuple[list[float], list[float]]
"""What the encoder says of a text, and the logits of its labels."""


def of_texts(
    target: LambdaTarget, texts: Sequence[str], told: Callable[[int], None] = lambda count: None
) -> list[Features]:
    """In the order of the texts; `told` is given how many are done. Raises WorkerError."""
    invoker = Invoker(target)
    found: list[Features] = []
    for start in range(0, len(texts), AT_ONCE):
        found += _asked(invoker, texts[start : start + AT_ONCE])
        told(len(found))
    return found


def _asked(invoker: Invoker, texts: Sequence[str]) -> list[Features]:
    request = json.dumps({"texts": list(texts), "features": True}).encode()
    reply = invoker.invoke((request, None))
    if isinstance(reply, Failure):
        raise WorkerError(f"The function gave no features: {reply.message or reply.code}.")
    try:
        body = json.loads(reply.payload)
        body = json.loads(body["body"]) if isinstance(body.get("body"), str) else body
        body = body.get("body", body)
        return [(each["pooled"], each["logits"]) for each in body["results"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkerError(
            "The function gave no features of these texts.",
            hint="Only a function of this version does, with a model whose manifest says where its"
            " encoder ends (`pooled`).",
        ) from error
