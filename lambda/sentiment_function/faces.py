"""The ways in which the function is called, and how each wants to be answered. Pure.

direct     {"texts": [...]}: from the SDK, the console, the queue of asynchronous invocations
HTTP       GET /health and POST to the function's own path (/sentiment), from an HTTP API (payload
           2.0), a REST API (payload 1.0), a function URL, or by hand: {"httpMethod": "GET", "path":
           "/health"}
warm-up    {"warmup": true}, or a schedule's event: the environment stays, nothing is done
console    the example that "Test" offers ({"key1": "value1", ...}): the state of health

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sentiment_function.wire import BadRequest

CONSOLE_EXAMPLE = {"key1": "value1", "key2": "value2", "key3": "value3"}


SCHEDULERS = ("aws.events", "aws.scheduler")
"""EventBridge's rules, and EventBridge Scheduler."""


class Action(StrEnum):
    WORK = "work"
    """What the function is for."""
    HEALTH = "health"
    WARM_UP = "warm-up"


PATH = "/sentiment"


Routes = dict[str, tuple[str, Action]]
"""By path: the method that it takes, and what that asks for."""


@dataclass(frozen=True, slots=True)
class Call:
    action: Action
    request: Any = None
    """What to work on, as it came; the function's `wire` judges it."""


def read(event: Any, path: str = PATH) -> Call:
    """What is asked for; `path` is where work is posted to. Raises BadRequest, with HTTP's
    status."""
    if not isinstance(event, dict):
        return Call(Action.WORK, event)
    if (route := _route(event)) is not None:
        return _routed(event, *route, _routes(path))
    warms = event.get("warmup") is True or event.get("source") in SCHEDULERS
    if warms and "texts" not in event:
        return Call(Action.WARM_UP)
    if event == CONSOLE_EXAMPLE:
        return Call(Action.HEALTH)
    return Call(Action.WORK, event)


def reply(
    event: Any, status: int, body: dict[str, Any], *, origin: str = "", path: str = PATH
) -> dict[str, Any]:
    """`body` in the envelope that the caller expects: over HTTP as text with a content type, and
    with the `origin` whose pages may read it."""
    if not isinstance(event, dict) or _route(event) is None:
        return {"statusCode": status, "body": body}
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if origin:  # an HTTP API puts its own in place of it; a REST API has none
        headers["Access-Control-Allow-Origin"] = origin
    if status == 405:
        headers["Allow"] = _allowed(event, path)
    return {
        "statusCode": status,
        "headers": headers,
        "body": json.dumps(body, ensure_ascii=False),
        "isBase64Encoded": False,
    }


def _route(event: dict[str, Any]) -> tuple[str, str] | None:
    """(method, path) of a call over HTTP, without the stage's name."""
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, dict) else None
    if isinstance(context, dict) and isinstance(http, dict):
        path = str(event.get("rawPath", http.get("path", "/")))
        stage = f"/{context.get('stage')}"
        if path.startswith(f"{stage}/"):
            path = path.removeprefix(stage)
        return str(http.get("method", "GET")), path
    if "httpMethod" in event:
        return str(event["httpMethod"]), str(event.get("path", "/"))
    return None


def _routes(path: str) -> Routes:
    return {"/health": ("GET", Action.HEALTH), path: ("POST", Action.WORK)}


def _routed(event: dict[str, Any], method: str, path: str, routes: Routes) -> Call:
    known = routes.get(path.rstrip("/") or "/")
    if known is None:
        there = " and ".join(f"{verb} {place}" for place, (verb, _) in routes.items())
        raise BadRequest(f"there is {there}", 404)
    wanted, action = known
    if method.upper() != wanted:
        raise BadRequest(f"{path.rstrip('/')} takes {wanted}", 405)
    return Call(action, _body(event) if action is Action.WORK else None)


def _allowed(event: dict[str, Any], path: str) -> str:
    _, asked = _route(event) or ("", "")
    return _routes(path)[asked.rstrip("/")][0]


def _body(event: dict[str, Any]) -> Any:
    body = event.get("body")
    if not isinstance(body, str):
        raise BadRequest("the body is empty" if body is None else "the body must be text")
    try:
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True).decode("utf-8")
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON in UTF-8") from None
