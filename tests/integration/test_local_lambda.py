"""The local Lambda, through boto3 as the worker reaches it: it answers as AWS does."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

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


@contextmanager
def service(folder: Path, **config: Any) -> Iterator[Any]:
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


def test_function_errors_exits_timeouts_and_memory(tmp_path: Path) -> None:
    with service(tmp_path, timeout_s=2.0, memory_mb=200) as client:
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


def test_above_its_concurrency_it_throttles_and_environments_are_kept_warm(tmp_path: Path) -> None:
    with service(tmp_path, concurrency=1) as client:
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


def test_a_handler_that_cannot_be_imported_is_a_function_error(tmp_path: Path) -> None:
    with service(tmp_path, handler="nowhere.handler") as client:
        response, error = invoke(client, {})
        assert response["FunctionError"] == "Unhandled"
        assert error["errorType"] == "Runtime.ImportModuleError"
