"""The local Lambda, through boto3 as the worker reaches it: it answers as AWS does."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from worker.local.function import AWS_CLIENT, OWN_CLIENT

MISBEHAVING = """
import os, time
def handler(event, context):
    match event.get("do"):
        case "raise": raise ValueError("secret text")
        case "exit": os._exit(3)
        case "sleep": time.sleep(event["seconds"])
        case "fill": blob = bytearray(event["mb"] << 20); time.sleep(1)
        case "large": return "x" * 7_000_000
    print("a line of log")
    return {"pid": os.getpid(), "cold": context.function_name}
"""


def client_of(url: str) -> Any:
    return boto3.client(
        "lambda",
        region_name="local",
        endpoint_url=url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


def invoke(client: Any, event: Any, **more: Any) -> tuple[Any, Any]:
    response = client.invoke(FunctionName="sentiment", Payload=json.dumps(event), **more)
    payload = response["Payload"].read()
    return response, json.loads(payload) if payload else None


@pytest.fixture(params=[AWS_CLIENT, OWN_CLIENT])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Service:
    """A local Lambda whose environments run AWS's runtime client, and one with our own."""
    return partial(_service, tmp_path, runtime_client=request.param)


Service = Callable[..., AbstractContextManager[Any]]


@contextmanager
def _service(folder: Path, **config: Any) -> Iterator[Any]:
    (folder / "misbehaving.py").write_text(MISBEHAVING, encoding="utf-8")
    values = {"handler": "misbehaving.handler", "concurrency": 2, "timeout_s": 10} | config
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.local.lambda_service", json.dumps(values)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    client = client_of(process.stdout.readline().decode().strip())
    try:
        yield client
    finally:
        client.close()
        process.stdin.close()
        code = process.wait(10)
        process.stdout.close()
    assert code == 0


def test_the_real_handler_scores(local_lambda: str) -> None:
    client = client_of(local_lambda)
    response, answer = invoke(client, {"texts": ["I love this!"]}, LogType="Tail")
    assert answer["body"]["results"][0]["sentiment"] == "positive"
    assert response["ExecutedVersion"] == "$LATEST"
    tail = base64.b64decode(response["LogResult"]).decode()
    assert re.search(r"REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms", tail)
    assert "I love this" not in tail
    client.close()


def test_refusals_have_awss_codes(local_lambda: str) -> None:
    client = client_of(local_lambda)
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"FunctionName": "other"}, 404, "ResourceNotFoundException"),
        ({"FunctionName": "sentiment", "Qualifier": "7"}, 404, "ResourceNotFoundException"),
        (
            {"FunctionName": "sentiment", "Payload": b'"' + b"x" * 6_300_000 + b'"'},
            413,
            "RequestEntityTooLargeException",
        ),
        (
            {"FunctionName": "sentiment", "Payload": b"not json"},
            400,
            "InvalidRequestContentException",
        ),
    ]
    for arguments, status, code in cases:
        with pytest.raises(ClientError) as raised:
            client.invoke(**arguments)
        error = raised.value.response
        assert (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]) == (
            status,
            code,
        )
    client.close()


def test_an_arn_names_the_function_too(local_lambda: str) -> None:
    client = client_of(local_lambda)
    arn = "arn:aws:lambda:local:000000000000:function:sentiment"
    for name in (arn, f"{arn}:live", "sentiment:$LATEST"):
        assert client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert (
        client.invoke(FunctionName=arn, InvocationType="Event", Payload=b"{}")["StatusCode"] == 202
    )
    client.close()


def test_function_errors_exits_timeouts_and_memory(service: Service) -> None:
    with service(timeout_s=2.0, memory_mb=200) as client:
        response, error = invoke(client, {"do": "raise"})
        assert response["FunctionError"] == "Unhandled"
        assert error["errorType"] == "ValueError"
        _, error = invoke(client, {"do": "exit"})
        assert "exit status 3" in error["errorMessage"]
        _, error = invoke(client, {"do": "sleep", "seconds": 30})
        assert "Task timed out after 2.00 seconds" in error["errorMessage"]
        _, error = invoke(client, {"do": "fill", "mb": 400})
        assert error["errorType"] == "Runtime.ExitError"
        assert "killed" in error["errorMessage"]
        _, error = invoke(client, {"do": "large"})
        assert error["errorType"] == "Function.ResponseSizeTooLarge"
        response, answer = invoke(client, {})
        assert "FunctionError" not in response, "a new environment serves on"
        assert answer["cold"] == "sentiment"


CONTEXT = """
import os
def handler(event, context):
    left = context.get_remaining_time_in_millis()
    return {
        "left": 0 < left <= 10_000,
        "names": [context.function_name, context.function_version, context.memory_limit_in_mb],
        "arn": context.invoked_function_arn,
        "id": len(context.aws_request_id),
        "client": getattr(context.client_context, "custom", None),
        "trace": os.environ["_X_AMZN_TRACE_ID"].startswith("Root=1-"),
        "echo": event,
    }
"""


def test_both_runtime_clients_tell_a_handler_the_same(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(CONTEXT, encoding="utf-8")
    context = base64.b64encode(b'{"custom": {"a": 1}}').decode()
    event = {"text": "caf\u00e9 \u2028 \U0001f600", "n": [1, 2.5, None, True]}
    told = []
    for runtime_client in (AWS_CLIENT, OWN_CLIENT):
        with _service(tmp_path, handler="told.handler", runtime_client=runtime_client) as client:
            _, answer = invoke(client, event, ClientContext=context)
        told.append(answer)
    assert told[0] == told[1]
    assert told[0]["echo"] == event
    assert told[0]["left"]


def test_both_runtime_clients_give_the_same_scores(tmp_path: Path) -> None:
    request = {
        "texts": ["I love this!", "This is terrible", "caf\u00e9", 7, ""],
        "ids": list("abcde"),
    }
    answers = []
    for runtime_client in (AWS_CLIENT, OWN_CLIENT):
        with _service(
            tmp_path, handler="sentiment_function.handler.handler", runtime_client=runtime_client
        ) as client:
            answers.append([invoke(client, request)[1], invoke(client, {"texts": "none"})[1]])
    assert answers[0] == answers[1]
    assert answers[0][0]["body"]["count"] == 5


def test_above_its_concurrency_it_throttles_and_environments_are_kept_warm(
    service: Service,
) -> None:
    with service(concurrency=1) as client:
        _, first = invoke(client, {})
        _, second = invoke(client, {})
        assert first["pid"] == second["pid"]
        busy = threading.Thread(target=invoke, args=(client, {"do": "sleep", "seconds": 1.5}))
        busy.start()
        time.sleep(0.5)
        with pytest.raises(ClientError) as raised:
            invoke(client, {})
        assert raised.value.response["Error"]["Code"] == "TooManyRequestsException"
        busy.join()


def test_a_handler_that_cannot_be_imported_is_a_function_error(service: Service) -> None:
    with service(handler="nowhere.handler") as client:
        response, error = invoke(client, {})
        assert response["FunctionError"] == "Unhandled"
        assert error["errorType"] == "Runtime.ImportModuleError"
