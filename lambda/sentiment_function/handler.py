"""The Lambda handler: reads the call, asks the model, answers, tells log and metrics."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sentiment_function import faces, wire
from sentiment_function.model import (
    MAX_CALL_TOKENS,
    TOKENS_A_SECOND,
    BadModel,
    Model,
    model_folder,
)
from sentiment_function.wire import Sentiment

_service = os.environ.get("POWERTOOLS_SERVICE_NAME", "sentiment")
log = Logger(service=_service)
metrics = Metrics(namespace="SentimentWorker", service=_service)

_origin = os.environ.get("ALLOWED_ORIGIN", "")
_started = time.monotonic()
_calls = itertools.count()
_provisioned = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "provisioned-concurrency"
"""Then nobody waited for the environment."""


@cache
def model() -> Model:
    """Loaded once an environment."""
    return Model(model_folder(), truncate=os.environ.get("LONG_TEXTS") == "truncate")


# Loading while the environment initialises: the first caller of a warmed one does not wait.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
model()


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answers 4xx with a sentence to what is no request; raises only for a broken model."""
    cold = next(_calls) == 0 and not _provisioned
    if cold:
        metrics.add_metric("ColdStart", MetricUnit.Count, 1)
        metrics.flush_metrics()
    try:
        call = faces.read(event)
        match call.action:
            case faces.Action.WARM_UP:
                body: dict[str, Any] = {"warm": True}
            case faces.Action.HEALTH:
                body = _health(cold=cold)
            case faces.Action.WORK:
                body = _scored(call.request, context, cold=cold)
    except wire.BadRequest as reason:
        log.warning("refused", extra={"reason": str(reason), "status": reason.status})
        return faces.reply(event, reason.status, {"error": str(reason)}, origin=_origin)
    return faces.reply(event, 200, body, origin=_origin)


def _scored(request: Any, context: Any, *, cold: bool) -> dict[str, Any]:
    texts = wire.texts_of(request)
    started = time.perf_counter()
    results = _results(request, texts, context)
    milliseconds = (time.perf_counter() - started) * 1000
    tokens = sum(result.tokens for result in results if isinstance(result, Sentiment))
    log.info(
        "scored",
        extra={
            "request_id": getattr(context, "aws_request_id", None),
            "texts": len(texts),
            "results": len(results),
            "tokens": tokens,
            "milliseconds": round(milliseconds, 1),
            "cold": cold,
        },
    )
    metrics.add_metric("Texts", MetricUnit.Count, len(texts))
    metrics.add_metric("Tokens", MetricUnit.Count, tokens)
    metrics.add_metric("Inference", MetricUnit.Milliseconds, milliseconds)
    metrics.flush_metrics()
    about = model()
    return wire.answer(
        request, results, model=about.name, version=about.version, languages=about.languages
    )


def _results(request: Any, texts: list[Any], context: Any) -> Sequence[wire.Result]:
    if not request.get("features"):
        return model().results(texts, _tokens_in(context))
    try:
        return model().features(texts)
    except BadModel as reason:
        raise wire.BadRequest(str(reason)) from reason


def _tokens_in(context: Any) -> int:
    """How many tokens there is time for: with a timeout of 15 minutes, all of a request of 6 MB."""
    try:
        return int(context.get_remaining_time_in_millis() / 1000 * TOKENS_A_SECOND)
    except (AttributeError, TypeError):
        return MAX_CALL_TOKENS


def _health(*, cold: bool) -> dict[str, Any]:
    return {
        "status": "ok",
        "model": model().name,
        "model_version": model().version,
        "languages": model().languages,
        "uptime_s": round(time.monotonic() - _started, 1),
        "start": "cold" if cold else "warm",
        "try": {"texts": ["I love this!"]},
    }
