"""Lambda's runtime client in plain Python, for machines that AWS's own does not install on.

    python -P -m worker.local.runtime_client sentiment_function.handler.handler

`awslambdaric` has wheels for Linux alone; elsewhere it wants cmake, autotools and a compiler. The
Runtime API is three calls: next, response, error. One suite holds both clients to the same answers
(tests/integration/test_local_lambda.py). https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from http.client import HTTPConnection, HTTPMessage
from types import SimpleNamespace
from typing import Any

_API = "/2018-06-01/runtime"
Handler = Callable[[Any, Any], Any]


class Context:
    """What a handler is told of its call.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def __init__(self, headers: HTTPMessage) -> None:
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        client = headers["Lambda-Runtime-Client-Context"]
        known = dict.fromkeys(("custom", "env", "client"))
        self.client_context = SimpleNamespace(**known | json.loads(client)) if client else None
        identity = json.loads(headers["Lambda-Runtime-Cognito-Identity"] or "{}")
        self.identity = SimpleNamespace(
            cognito_identity_id=identity.get("cognitoIdentityId"),
            cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"),
        )
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline_ms - int(time.time() * 1000))


class _RuntimeApi:
    """One connection, kept: an invocation is awaited for as long as it takes."""

    def __init__(self, address: str) -> None:
        self._connection = HTTPConnection(address)

    def next(self) -> tuple[HTTPMessage, bytes]:
        return self._call("GET", f"{_API}/invocation/next")

    def respond(self, request_id: str, payload: bytes) -> None:
        self._call("POST", f"{_API}/invocation/{request_id}/response", payload)

    def fail(self, where: str, error: dict[str, Any]) -> None:
        # http.client writes headers in Latin-1.
        kind = error["errorType"].encode("ascii", "replace").decode()
        headers = {"Lambda-Runtime-Function-Error-Type": kind}
        self._call("POST", f"{_API}/{where}/error", json.dumps(error).encode(), headers)

    def _call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[HTTPMessage, bytes]:
        self._connection.request(method, path, body, headers or {})
        answer = self._connection.getresponse()
        return answer.headers, answer.read()


def main(name: str) -> None:
    """Load the handler and answer invocations until the environment ends us."""
    api = _RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = _loaded(name)
    except Exception as error:
        api.fail("init", _of_loading(error, name))
        raise
    while True:
        headers, event = api.next()
        _answer(api, handler, headers, event)


def _answer(api: _RuntimeApi, handler: Handler, headers: HTTPMessage, event: bytes) -> None:
    context = Context(headers)
    if trace := headers["Lambda-Runtime-Trace-Id"]:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    try:
        result = handler(json.loads(event), context)
        payload = json.dumps(result, ensure_ascii=False).encode()
    except Exception as error:  # noqa: BLE001  whatever the handler raises is its answer
        described = _described(error, context.aws_request_id)
        print(f"[ERROR] {described['errorType']}", file=sys.stderr)  # noqa: T201  the call's log
        api.fail(f"invocation/{context.aws_request_id}", described)
    else:
        api.respond(context.aws_request_id, payload)


def _loaded(name: str) -> Handler:
    module, _, function = name.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module), function)
    return handler


def _of_loading(error: Exception, name: str) -> dict[str, Any]:
    """Under the names that AWS has for it."""
    module, _, function = name.rpartition(".")
    described = _described(error, "")
    if isinstance(error, ImportError):
        described |= {
            "errorType": "Runtime.ImportModuleError",
            "errorMessage": f"Unable to import module '{module}': {error}",
        }
    elif isinstance(error, AttributeError):
        described |= {
            "errorType": "Runtime.HandlerNotFound",
            "errorMessage": f"Handler '{function}' missing on module '{module}'",
        }
    return described


def _described(error: BaseException, request_id: str) -> dict[str, Any]:
    """As AWS's client puts it: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html"""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  an error that cannot say its text is still an answer
        message = ""
    return {
        "errorMessage": message,
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


if __name__ == "__main__":
    main(sys.argv[1])
