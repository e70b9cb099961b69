"""The wire format between worker and function, as the worker speaks it. Pure.

Request   {"texts": [...], "ids": [...], "chunk_id": "17", "attempt": 1}
Answer    {"statusCode": 200, "body": {"results": [{"sentiment", "score", "polarity"}, ...],
           "count": n, "ids": [...], "model": "...", "model_version": "...",
           "languages": ["de", "en"]}}; a result may say its "language"

The body may be an object, a JSON string, or stand bare. tests/contract/golden holds examples
that both sides are tested against.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

from worker.clean import storable
from worker.records import Chunk, Opinion, ScorerId

_DIRECTION = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}
_NUMBERS = (float, int)
_MAX_LABEL = 64
_MAX_WRAPPING = 4
_MAX_LANGUAGES = 300
_LANGUAGE = re.compile(r"([a-z]{2,3})(?![^-_])")


class BadAnswer(ValueError):
    """The function answered, and the answer cannot be used. `code` is short and stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def text_ids(chunk: Chunk) -> list[str]:
    """One id a text: that of the first record that holds it."""
    return [str(item.members[0].record_id) for item in chunk.items]


def encode(chunk: Chunk) -> bytes:
    """The request's payload, UTF-8; a text costs what `worker.chunk.serialised_bytes` says."""
    texts = ",".join([encode_basestring(item.text) for item in chunk.items])
    ids = '","'.join(text_ids(chunk))
    return (
        f'{{"texts":[{texts}],"ids":["{ids}"],'
        f'"chunk_id":"{chunk.id}","attempt":{chunk.attempts + 1}}}'
    ).encode()


def decode(payload: bytes, chunk: Chunk, default: ScorerId) -> tuple[ScorerId, list[Opinion]]:
    """Verify an answer to `chunk`: one opinion an item, in the chunk's order.

    An answer that names its ids may have them in another order; they decide. An answer
    without ids (the seeds' plain form) is taken in order, if the count is exact. `default`
    fills in what a plain answer does not say of its model. Raises BadAnswer.
    """
    body = _body(payload)
    results = body.get("results")
    if not isinstance(results, list):
        raise BadAnswer("no_results", "The answer has no list of results.")
    expected = len(chunk.items)
    if len(results) != expected or body.get("count", expected) != expected:
        raise BadAnswer(
            "wrong_count", f"The answer has {len(results)} results for {expected} texts."
        )
    opinions = [_opinion(result) for result in results]
    if body.get("ids") is not None:
        opinions = _in_order(opinions, body["ids"], text_ids(chunk))
    return _scorer(body, default), opinions


def _body(payload: bytes) -> Mapping[str, Any]:
    answer = _unwrap(_parse(payload))
    if "statusCode" not in answer:
        return answer
    status = answer["statusCode"]
    if status != 200:
        named = status if type(status) is int and 0 <= status <= 999 else "unknown"
        raise BadAnswer(f"status_{named}", f"The function answered with status {named}.")
    return _unwrap(answer.get("body"))


def _unwrap(value: Any) -> Mapping[str, Any]:
    """An object, however many times it was encoded as a string on the way."""
    for _ in range(_MAX_WRAPPING):
        if not isinstance(value, str):
            break
        value = _parse(value)
    if not isinstance(value, dict):
        raise BadAnswer("bad_json", "The answer is not a JSON object.")
    return value


def _parse(text: str | bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("bad_json", "The answer is not JSON.") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _opinion(result: Any) -> Opinion:
    try:
        label = result.get("sentiment") or result["label"]
        score = result["score"]
        polarity = result.get("polarity")
    except (AttributeError, KeyError, TypeError):
        raise BadAnswer("bad_result", "A result lacks its label or its score.") from None
    if type(label) is not str or not 0 < len(label) <= _MAX_LABEL or not label.isprintable():
        raise BadAnswer("bad_label", "A result's label is not a short text.")
    # NaN and the infinities fail these comparisons; booleans are numbers to Python, not to us.
    if type(score) not in _NUMBERS or not 0.0 <= score <= 1.0:
        raise BadAnswer("bad_score", "A result's score is not a number from 0 to 1.")
    label = label.lower()
    if polarity is None:
        polarity = _signed(label, score)
    if type(polarity) not in _NUMBERS or not -1.0 <= polarity <= 1.0:
        raise BadAnswer("bad_polarity", "A result's polarity is not a number from -1 to 1.")
    return Opinion(label, score, polarity, _language(result.get("language")))


def _language(value: Any) -> str | None:
    """The code of `EN`, `pt-BR` or `zh_Hant`, if it is one: a score is not refused for its
    language."""
    found = _LANGUAGE.match(value.lower()) if isinstance(value, str) else None
    return found[1] if found else None


def _signed(label: str, score: float) -> float:
    if label not in _DIRECTION:
        raise BadAnswer("bad_label", "A result has a label of its own and no polarity.")
    return _DIRECTION[label] * score


def _in_order(opinions: list[Opinion], answered: Any, expected: list[str]) -> list[Opinion]:
    if answered == expected:
        return opinions
    if not isinstance(answered, list) or len(answered) != len(expected):
        raise BadAnswer("wrong_ids", "The answer's ids are not one a text.")
    by_id = {str(i): opinion for i, opinion in zip(answered, opinions, strict=True)}
    try:
        # A doubled id leaves one of the expected ones without an opinion.
        return [by_id[i] for i in expected]
    except KeyError:
        raise BadAnswer("wrong_ids", "The answer's ids are not those that were sent.") from None


def _scorer(body: Mapping[str, Any], default: ScorerId) -> ScorerId:
    model = body.get("model")
    version = body.get("model_version")
    if isinstance(model, str) and isinstance(version, str) and model and version:
        languages = body.get("languages")
        codes = languages[:_MAX_LANGUAGES] if isinstance(languages, list) else ()
        reads = tuple(filter(None, map(_language, codes)))
        return ScorerId(default.provider, storable(model[:200]), storable(version[:200]), reads)
    return default
