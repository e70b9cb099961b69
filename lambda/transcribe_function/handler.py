"""The Lambda handler: reads the call, transcribes, answers, tells log and metrics."""

from __future__ import annotations

import io
import itertools
import math
import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from sentiment_function import faces
from sentiment_function.wire import BadRequest

from transcribe_function import wire
from transcribe_function.speech import SpeechModel

_service = os.environ.get("POWERTOOLS_SERVICE_NAME", "transcription")
log = Logger(service=_service)
metrics = Metrics(namespace="SentimentWorker", service=_service)

PATH = "/transcribe"

_started = time.monotonic()
_calls = itertools.count()


@cache
def model() -> SpeechModel:
    """Loaded once an environment."""
    named = os.environ.get("TRANSCRIPTION_MODEL")
    if not named:
        raise RuntimeError("TRANSCRIPTION_MODEL names no model: a folder, or tiny, base, small ...")
    return SpeechModel(named)


# Loading while the environment initialises, as the sentiment function does.
model()


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answers 4xx with a sentence to what is no request; raises only for a broken model."""
    cold = next(_calls) == 0
    if cold:
        metrics.add_metric("ColdStart", MetricUnit.Count, 1)
        metrics.flush_metrics()
    try:
        event = wire.with_audio_in_json(event)
        call = faces.read(event, PATH)
        match call.action:
            case faces.Action.WARM_UP:
                body: dict[str, Any] = {"warm": True}
            case faces.Action.HEALTH:
                body = _health(cold=cold)
            case faces.Action.WORK:
                body = _transcribed(wire.read(call.request), context, cold=cold)
    except BadRequest as reason:
        log.warning("refused", extra={"reason": str(reason), "status": reason.status})
        return faces.reply(event, reason.status, {"error": str(reason)}, path=PATH)
    return faces.reply(event, 200, body, path=PATH)


def _transcribed(request: wire.Request, context: Any, *, cold: bool) -> dict[str, Any]:
    audio = request.audio if isinstance(request.audio, bytes) else _fetched(request.audio)
    started = time.perf_counter()
    transcript = model().transcribe(
        io.BytesIO(audio),
        language=request.language,
        from_s=request.from_s,
        remaining_s=lambda: _remaining_s(context),
    )
    milliseconds = (time.perf_counter() - started) * 1000
    seconds = transcript.until_s - transcript.from_s
    log.info(
        "transcribed",
        extra={
            "request_id": getattr(context, "aws_request_id", None),
            "bytes": len(audio),
            "seconds": round(seconds, 1),
            "segments": len(transcript.segments),
            "language": transcript.language,
            "milliseconds": round(milliseconds, 1),
            "cold": cold,
        },
    )
    metrics.add_metric("AudioSeconds", MetricUnit.Seconds, seconds)
    metrics.add_metric("Transcription", MetricUnit.Milliseconds, milliseconds)
    metrics.flush_metrics()
    return wire.answer(transcript, model=model().name, version=model().version)


def _fetched(place: wire.Place) -> bytes:
    """Raises BadRequest where the object is not there, not ours to read, or has changed; and, with
    503, where S3 does not answer."""
    import boto3  # slow, and of no use to who sends the audio itself
    from botocore.exceptions import BotoCoreError, ClientError

    asked = {"IfMatch": place.etag} if place.etag else {}
    try:
        found = boto3.client("s3").get_object(Bucket=place.bucket, Key=place.key, **asked)
        if found["ContentLength"] > wire.MAX_BYTES:
            raise BadRequest(f"the object is larger than {wire.MAX_BYTES >> 20} MB", 413)
        return bytes(found["Body"].read())
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 503)
        if status == 412:
            raise BadRequest("the object has changed since", 409) from error
        known = status if status in (403, 404) else 503
        raise BadRequest(f"the object cannot be read: {code}", known) from error
    except (BotoCoreError, OSError) as error:
        raise BadRequest(f"S3 does not answer: {type(error).__name__}", 503) from error


def _remaining_s(context: Any) -> float:
    try:
        return float(context.get_remaining_time_in_millis()) / 1000
    except (AttributeError, TypeError):
        return math.inf


def _health(*, cold: bool) -> dict[str, Any]:
    return {
        "status": "ok",
        "model": model().name,
        "model_version": model().version,
        "languages": model().languages,
        "uptime_s": round(time.monotonic() - _started, 1),
        "start": "cold" if cold else "warm",
        "try": {"s3": "s3://bucket/recording.mp3"},
    }
