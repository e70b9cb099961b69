"""The handler under AWS's own runtime interface emulator: the referee of the local Lambda."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.contract.test_handler import over_http_api, over_rest_api
from tests.contract.test_wire import REQUESTS
from tests.infrastructure.conftest import EMULATED
from worker.settings import LOCAL_FUNCTION

EVENTS: list[Any] = [
    *(case["request"] for case in REQUESTS),
    {"texts": ["I love this!", None, "half \ud83d", "\0", ""]},
    {"texts": "one"},
    {"texts": [], "ids": ["\ud83d"]},
    {"texts": ["good " * 3_000]},
    [],
    None,
    "text",
    {"warmup": True},
    {"key1": "value1"},
    over_http_api("POST", "/sentiment", json.dumps({"texts": ["fine"]})),
    over_http_api("POST", "/sentiment", "{"),
    over_rest_api("DELETE", "/sentiment"),
]


def ask(url: str, function: str, event: Any) -> tuple[int, Any]:
    url = f"{url}/2015-03-31/functions/{function}/invocations"
    with urllib.request.urlopen(url, json.dumps(event).encode(), timeout=60) as reply:
        return reply.status, json.load(reply)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: json.dumps(event)[:40])
def test_the_local_lambda_answers_as_the_emulator_does(
    emulator: str, local_lambda: str, event: Any
) -> None:
    assert ask(emulator, EMULATED, event) == ask(local_lambda, LOCAL_FUNCTION, event)


def test_health_is_the_same_but_for_its_clock(emulator: str, local_lambda: str) -> None:
    event = over_http_api("GET", "/health")
    both = ((emulator, EMULATED), (local_lambda, LOCAL_FUNCTION))
    bodies = [json.loads(ask(*at, event)[1]["body"]) for at in both]
    for body in bodies:
        body.pop("uptime_s")
        body.pop("start")
    assert bodies[0] == bodies[1]
