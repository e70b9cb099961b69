"""The handler under AWS's own runtime interface emulator: the referee of the local Lambda."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_handler import over_http_api, over_rest_api
from tests.contract.test_wire import REQUESTS
from tests.infrastructure.conftest import LAMBDA

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


@pytest.fixture(scope="module")
def emulator(rie: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(rie, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *(sys.executable, "-m", "awslambdaric", "sentiment_function.handler.handler"),
        ],
        cwd=LAMBDA,
        env=os.environ | {"OMP_NUM_THREADS": "1", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _until_open(port)
    yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    process.kill()
    process.wait()


def _until_open(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the emulator does not listen")


def ask(url: str, event: Any) -> tuple[int, Any]:
    with urllib.request.urlopen(url, json.dumps(event).encode(), timeout=60) as reply:
        return reply.status, json.load(reply)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: json.dumps(event)[:40])
def test_the_local_lambda_answers_as_the_emulator_does(
    emulator: str, local_lambda: str, event: Any
) -> None:
    path = "/2015-03-31/functions/sentiment/invocations"
    assert ask(emulator, event) == ask(f"{local_lambda}{path}", event)


def test_health_is_the_same_but_for_its_clock(emulator: str, local_lambda: str) -> None:
    path = "/2015-03-31/functions/sentiment/invocations"
    event = over_http_api("GET", "/health")
    bodies = [json.loads(ask(url, event)[1]["body"]) for url in (emulator, f"{local_lambda}{path}")]
    for body in bodies:
        body.pop("uptime_s")
        body.pop("start")
    assert bodies[0] == bodies[1]
