"""The function's faces: whoever calls it, however badly, gets an answer and never a stack trace."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentiment_function.handler import handler, model

FUNCTION = Path(__file__).parents[2] / "lambda"
LOVE = {"texts": ["I love this!"]}


def over_http_api(method: str, path: str, body: str | None = None, **more: Any) -> dict[str, Any]:
    """Payload 2.0, as API Gateway's documentation shows it."""
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "headers": {"content-type": "application/json"},
        "requestContext": {"stage": "$default", "http": {"method": method, "path": path}},
        "body": body,
        "isBase64Encoded": False,
    } | more


def over_rest_api(method: str, path: str, body: str | None = None) -> dict[str, Any]:
    """Payload 1.0."""
    context = {"stage": "v1", "httpMethod": method, "resourcePath": path}
    return {"httpMethod": method, "path": path, "requestContext": context, "body": body}


@pytest.mark.parametrize("over", [over_http_api, over_rest_api])
def test_scores_over_http(over: Any) -> None:
    answer = handler(over("POST", "/sentiment", json.dumps(LOVE)), None)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
    assert answer["headers"]["Content-Type"] == "application/json"
    assert json.loads(answer["body"])["results"][0]["sentiment"] == "positive"


def test_a_body_in_base64_and_a_stage_in_the_path() -> None:
    body = base64.b64encode(json.dumps(LOVE).encode()).decode()
    event = over_http_api("POST", "/prod/sentiment", body, isBase64Encoded=True)
    event["requestContext"]["stage"] = "prod"
    assert handler(event, None)["statusCode"] == 200


@pytest.mark.parametrize(
    "event",
    [
        over_http_api("GET", "/health"),
        over_rest_api("GET", "/health/"),
        {"httpMethod": "GET", "path": "/health"},
    ],
)
def test_health(event: dict[str, Any]) -> None:
    answer = handler(event, None)
    health = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    assert health["model_version"] == model().version
    assert health["start"] == "warm"
    assert health["uptime_s"] >= 0


def test_the_consoles_example_and_a_warm_up() -> None:
    console = {"key1": "value1", "key2": "value2", "key3": "value3"}
    assert handler(console, None)["body"]["status"] == "ok"
    assert handler({"warmup": True}, None) == {"statusCode": 200, "body": {"warm": True}}
    assert handler({"source": "aws.events", "detail": {}}, None)["body"] == {"warm": True}


@pytest.mark.parametrize(
    ("event", "status", "said"),
    [
        (over_http_api("GET", "/"), 404, "POST /sentiment"),
        (over_http_api("GET", "/sentiment"), 405, "POST"),
        (over_http_api("POST", "/health"), 405, "GET"),
        (over_http_api("POST", "/sentiment"), 400, "empty"),
        (over_http_api("POST", "/sentiment", "{"), 400, "not JSON"),
        (over_http_api("POST", "/sentiment", "[" * 100_000), 400, "not JSON"),
        (over_http_api("POST", "/sentiment", "%%%", isBase64Encoded=True), 400, "not JSON"),
        (over_http_api("POST", "/sentiment", "[]"), 400, '{"texts": ["...", "..."]}'),
        (over_rest_api("DELETE", "/sentiment"), 405, "POST"),
    ],
)
def test_bad_calls_over_http_get_a_sentence(event: Any, status: int, said: str) -> None:
    answer = handler(event, None)
    assert answer["statusCode"] == status
    assert said in json.loads(answer["body"])["error"]
    assert ("Allow" in answer["headers"]) == (status == 405)


def test_one_bad_text_does_not_sink_the_others() -> None:
    texts = ["I love this!", None, 7, {"text": "nested"}, "half a pair \ud83d", "", "This is awful"]
    body = handler({"texts": texts}, None)["body"]
    assert body["count"] == len(body["results"]) == 7
    labels = [result.get("sentiment") for result in body["results"]]
    assert (labels[0], labels[-1]) == ("positive", "negative")
    assert [result.get("error") for result in body["results"]][1:4] == [
        "a text must be a string"
    ] * 3


def test_log_and_metrics_say_how_much_and_never_what() -> None:
    """In a process of its own, where the log goes to stdout as it does in Lambda."""
    events = [
        {"texts": ["canary in a coal mine", 3]},
        {"texts": "canary in a coal mine"},
        over_http_api("POST", "/sentiment", "canary in a coal mine"),
    ]
    program = (
        "import json, sys; from sentiment_function.handler import handler\n"
        "for event in json.load(sys.stdin): handler(event, None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "canary" not in done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    logged = [line["message"] for line in lines if "message" in line]
    assert logged == ["scored", "refused", "refused"]
    cold, measured = [line for line in lines if "_aws" in line]
    assert (cold["ColdStart"], measured["Texts"]) == ([1.0], [2.0])


@pytest.mark.parametrize("source", ["aws.events", "aws.scheduler"])
def test_a_schedules_event_warms_and_texts_are_never_dropped(source: str) -> None:
    assert handler({"source": source}, None)["body"] == {"warm": True}
    assert handler({"source": source} | LOVE, None)["body"]["count"] == 1
    assert handler({"warmup": True} | LOVE, None)["body"]["count"] == 1


@pytest.mark.parametrize(
    "more",
    [{"ids": ["1", "2"]}, {"ids": "1"}, {"chunk_id": "x" * 300_000}, {"ids": ["'" * 300_000]}],
)
def test_what_is_echoed_is_checked_before_anything_is_scored(more: dict[str, Any]) -> None:
    assert handler(LOVE | more, None)["statusCode"] == 400


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=12,
)
_named = st.fixed_dictionaries(
    {},
    optional={
        "texts": st.lists(_json, max_size=6) | _json,
        "ids": _json,
        "body": _json,
        "path": _json,
        "rawPath": _json,
        "httpMethod": _json,
        "isBase64Encoded": st.booleans(),
        "requestContext": st.fixed_dictionaries({}, optional={"http": _json, "stage": _json})
        | st.fixed_dictionaries({"http": st.fixed_dictionaries({"method": _json})}),
        "warmup": _json,
        "source": _json,
    },
)


# FUZZ=50000 pytest tests/contract -k never_a_crash: an evening's worth.
@settings(max_examples=int(os.environ.get("FUZZ", "300")), deadline=None)
@given(_json | _named)
def test_never_a_crash_never_a_wrong_count(event: Any) -> None:
    # As AWS's runtime client writes it from Python 3.12 on.
    written = json.dumps(handler(event, None), ensure_ascii=False, allow_nan=False).encode()
    answer = json.loads(written)
    body = json.loads(answer["body"]) if isinstance(answer["body"], str) else answer["body"]
    assert answer["statusCode"] in (200, 400, 404, 405)
    assert ("error" in body) == (answer["statusCode"] != 200)
    if "results" in body:
        assert body["count"] == len(body["results"])
        if answer["body"] is body:
            assert body["count"] == len(event["texts"])


class _Call:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> float:
        return self._seconds * 1000


def test_more_than_a_thousand_texts_are_taken_as_far_as_the_time_goes() -> None:
    """2,500 tokens for each second that is left: with the timeout of a minute 150,000."""
    texts = ["fine"] * 1_500
    assert handler({"texts": texts}, _Call(60))["body"]["count"] == 1_500
    few = handler({"texts": texts}, _Call(1))["body"]["results"]
    assert "error" not in few[0]
    assert "send fewer texts at once" in few[-1]["error"]


def test_over_http_the_allowed_origin_may_read_the_answer() -> None:
    """A REST API with a key has no CORS of its own (lambda/template.yaml)."""
    event = {"httpMethod": "GET", "path": "/health"}
    assert "Access-Control-Allow-Origin" not in handler(event, None)["headers"]
    found = _answers_with_origin("https://app.example.org", "/health", "/nowhere")
    assert [answer["statusCode"] for answer in found] == [200, 404]
    for answer in found:
        assert answer["headers"]["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "headers" not in handler({"texts": ["fine"]}, None)


def _answers_with_origin(origin: str, *paths: str) -> list[dict[str, Any]]:
    """As of an environment that was started with it."""
    code = (
        "import json, sys; from sentiment_function.handler import handler\n"
        "print(json.dumps([handler({'httpMethod': 'GET', 'path': path}, None)"
        " for path in sys.argv[1:]]))"
    )
    environment = os.environ | {"ALLOWED_ORIGIN": origin, "PYTHONPATH": str(FUNCTION)}
    said = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(said.stdout.splitlines()[-1])
    return found
