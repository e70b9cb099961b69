"""One wire format, held together by golden payloads that both sides read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentiment_function import wire as function_wire
from sentiment_function.handler import handler
from sentiment_function.wire import Sentiment

from tests.make import chunk
from worker.records import ScorerId
from worker.scoring import wire

GOLDEN = Path(__file__).parent / "golden"
REQUESTS = json.loads((GOLDEN / "requests.json").read_text("utf-8"))
ANSWERS = json.loads((GOLDEN / "answers.json").read_text("utf-8"))
PLAIN = ScorerId("lambda", "function", "$LATEST")


def by_what(case: dict[str, Any]) -> str:
    return str(case["what"])


@pytest.mark.parametrize("case", ANSWERS, ids=by_what)
def test_the_worker_accepts_and_refuses(case: dict[str, Any]) -> None:
    two = chunk("first", "second")
    if case["accepted"] is None:
        with pytest.raises(wire.BadAnswer) as raised:
            wire.decode(case["payload"].encode(), two, PLAIN)
        assert raised.value.code == case["code"]
    else:
        scorer, opinions = wire.decode(case["payload"].encode(), two, PLAIN)
        assert [list(opinion) for opinion in opinions] == case["accepted"]
        named = '"model"' in case["payload"] or "model_version" in case["payload"]
        assert scorer == (ScorerId("lambda", "m", "3") if named else PLAIN)
        assert scorer.languages == (("de", "en") if '["de", "en"]' in case["payload"] else ())


@pytest.mark.parametrize("case", REQUESTS, ids=by_what)
def test_the_function_answers_what_it_is_sent(case: dict[str, Any]) -> None:
    answer = json.loads(json.dumps(handler(case["request"], None)))
    body = answer["body"]
    assert answer["statusCode"] == 200
    assert body["count"] == len(body["results"]) == len(case["request"]["texts"])
    for name in ("ids", "chunk_id", "attempt"):
        assert body.get(name) == case["request"].get(name)
    if case["labels"] is not None:
        assert [result["sentiment"] for result in body["results"]] == case["labels"]


def test_what_the_worker_sends_the_function_understands_and_back() -> None:
    sent = chunk("I love this!", 'quotes " and \\ and \u2028', "This is terrible")
    request = json.loads(wire.encode(sent))
    assert function_wire.texts_of(request) == [item.text for item in sent.items]
    answer = json.dumps(handler(request, None)).encode()
    scorer, opinions = wire.decode(answer, sent, PLAIN)
    assert scorer == ScorerId("lambda", "sentiment-multilingual", "1.0.0")
    assert {"de", "en", "es"} <= set(scorer.languages)
    assert [opinion.label for opinion in opinions][::2] == ["positive", "negative"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20))
def test_any_text_survives_the_way_there(texts: list[str]) -> None:
    assert json.loads(wire.encode(chunk(*texts)))["texts"] == texts


@given(st.binary(max_size=200))
def test_no_answer_whatever_crashes_the_worker(payload: bytes) -> None:
    with pytest.raises(wire.BadAnswer):
        wire.decode(payload, chunk("a"), PLAIN)


@pytest.mark.parametrize(
    "event", [None, [], "text", {}, {"texts": "one"}, {"texts": ["a"] * 50_001}]
)
def test_what_is_no_request_gets_a_sentence(event: Any) -> None:
    answer = handler(event, None)
    assert answer["statusCode"] == 400
    assert answer["body"]["error"]


def test_a_score_in_an_answer_is_what_the_model_said() -> None:
    said = [Sentiment("positive", 0.9, 0.8)]
    body = function_wire.answer({"texts": ["x"]}, said, model="m", version="1")
    assert body["results"] == [{"sentiment": "positive", "score": 0.9, "polarity": 0.8}]
