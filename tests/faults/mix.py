"""The fault mix: what a Lambda and the way to it do wrong, how often, and what it then answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any

from tests.scripted_lambda import Response, aws_error, function_error

MIX: Mapping[str, float] = {
    "throttle": 0.05,
    "http_500": 0.02,
    "function_error": 0.03,
    "short_list": 0.02,
    "doubled_id": 0.01,
    "status_500": 0.02,
    "stall": 0.01,
    "dropped": 0.01,
    "html": 0.01,
    "json_string": 0.22,
    "cut": 0.01,
    "doubly_encoded": 0.02,
    "shuffled": 0.10,
    "nan": 0.005,
    "late": 0.01,
}
"""Share of calls; the rest is answered plainly."""

HARMLESS = ("json_string", "doubly_encoded", "shuffled", "plain")
"""Odd, and right: the worker must take these answers."""

LABELS = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Verdict:
    label: str
    score: float
    polarity: float


def verdict(text: str) -> Verdict:
    """What this Lambda says of a text: a function of the text alone, so that an answer that
    reached the wrong record shows."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    label = LABELS[digest[0] % 3]
    score = 0.5 + digest[1] / 512
    return Verdict(label, score, (LABELS.index(label) - 1) * score)


def draw(rng: Random, mix: Mapping[str, float]) -> str:
    """The name of a fault, or "plain"."""
    x = rng.random()
    for name, share in mix.items():
        x -= share
        if x < 0:
            return name
    return "plain"


def answer(body: dict[str, Any], fault: str, rng: Random) -> Response:
    """What goes over the wire in place of `body`. Stalling is the server's business."""
    if fault in _INSTEAD:
        return _INSTEAD[fault]
    if fault in _SPOILED:
        _SPOILED[fault](body, rng)
    if fault == "json_string":
        return _json({"statusCode": 200, "body": json.dumps(body)})
    if fault == "doubly_encoded":
        return _json(json.dumps({"statusCode": 200, "body": json.dumps(body)}))
    response = _json({"statusCode": 200, "body": body})
    response.cut = fault == "cut"
    return response


def _double_an_id(body: dict[str, Any], rng: Random) -> None:
    body["ids"] = [body["ids"][-1] if len(body["ids"]) > 1 else "0", *body["ids"][1:]]


def _shuffle(body: dict[str, Any], rng: Random) -> None:
    order = rng.sample(range(len(body["ids"])), len(body["ids"]))
    for name in ("ids", "results"):
        body[name] = [body[name][i] for i in order]


def _json(value: Any) -> Response:
    return Response(json.dumps(value).encode())


_INSTEAD = {
    "throttle": aws_error(429, "TooManyRequestsException"),
    "http_500": aws_error(500, "ServiceException"),
    "function_error": function_error(),
    "status_500": _json({"statusCode": 500, "body": "Internal server error"}),
    "dropped": Response(drop=True),
    "html": Response(b"<html><body>Bad gateway</body></html>"),
}
_SPOILED: Mapping[str, Callable[[dict[str, Any], Random], object]] = {
    "short_list": lambda body, rng: body["results"].pop(),
    "doubled_id": _double_an_id,
    "shuffled": _shuffle,
    "nan": lambda body, rng: body["results"][0].update(score=float("nan")),
}


def body(request: Mapping[str, Any]) -> dict[str, Any]:
    """The right answer."""
    verdicts = [verdict(text) for text in request["texts"]]
    return {
        "results": [
            {"sentiment": v.label, "score": v.score, "polarity": v.polarity} for v in verdicts
        ],
        "count": len(verdicts),
        "ids": list(request["ids"]),
        "model": "faulty",
        "model_version": "1",
    }
