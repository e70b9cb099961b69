"""`worker.ports.Scorer` over the Lambda: encode, send, verify."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import replace

from worker.log import get_logger
from worker.ports import Span, Tracer
from worker.records import (
    Answer,
    Bill,
    Chunk,
    Failure,
    FailureKind,
    Item,
    Lane,
    Member,
    Outcome,
    Reach,
    ScorerId,
)
from worker.scoring import wire
from worker.scoring.sender import Sender
from worker.scoring.target import LambdaTarget, Reply
from worker.tracing import SilentTracer

log = get_logger(__name__)

ASSUMED_MEMORY_MB = 1769
"""Until a report line tells the function's: what lambda/template.yaml gives it."""

_TYPE = re.compile(r"[A-Za-z_][\w.]{0,63}", re.ASCII)


class AwsLambdaScorer:
    """One attempt is one HTTP request, made by the sender's process."""

    def __init__(self, target: LambdaTarget, tracer: Tracer | None = None) -> None:
        self._sender = Sender(target)
        self._tracer = tracer or SilentTracer()
        self._about = {"faas.invoked_provider": "aws", "faas.invoked_name": target.function}
        self._plain = target.plain_scorer
        self._timeout_s = target.timeout_s
        self._memory_mb = ASSUMED_MEMORY_MB

    async def score(self, chunk: Chunk) -> Outcome:
        """Invoke once and verify the answer. Never raises for what happened on the way."""
        started = time.perf_counter()
        with self._tracer.span("invocation", self._about, calls=True) as span:
            log.info("lambda.invoking", texts=len(chunk.items), chunk=chunk.id)
            reply = await self._sender.invoke(wire.encode(chunk), span.trace_header)
            _describe(reply, span)
        seconds = time.perf_counter() - started
        outcome = reply if isinstance(reply, Failure) else read_reply(reply, chunk, self._plain)
        outcome = replace(
            outcome, bill=self._bill(outcome, ran=isinstance(reply, Reply), took_s=seconds)
        )
        if not isinstance(outcome, Answer):
            return outcome  # logged by whoever judges it
        results, ms = len(outcome.opinions), round(seconds * 1000)
        log.info("lambda.answered", results=results, chunk=chunk.id, ms=ms)
        return replace(outcome, duration_s=seconds)

    async def prepare(self) -> None:
        """Importing boto3 takes as long as a call."""
        await self._sender.prepare()

    def _bill(self, outcome: Outcome, *, ran: bool, took_s: float) -> Bill | None:
        """By the report line; else the most that the call can have cost: as long as it took, or as
        long as the function may run where no answer came. None for what did not run."""
        if outcome.bill:
            self._memory_mb = outcome.bill.memory_mb
            return outcome.bill
        lost = isinstance(outcome, Failure) and outcome.reach is Reach.UNKNOWN
        if not (ran or lost):
            return None
        at_most = min(took_s, self._timeout_s) if ran else self._timeout_s
        return Bill(math.ceil(1000 * at_most), self._memory_mb, reported=False)

    async def close(self) -> None:
        await self._sender.close()


def read_reply(reply: Reply, chunk: Chunk, plain: ScorerId) -> Outcome:
    """What a reply to `chunk` says, verified; `plain` names the model of one that names none."""
    if reply.function_error:
        failure = _function_error(reply.function_error, reply.payload)
        return replace(failure, bill=reply.bill)
    try:
        scorer, opinions = wire.decode(reply.payload, chunk, plain)
    except wire.BadAnswer as error:
        return Failure(FailureKind.REJECTED, error.code, str(error), bill=reply.bill)
    return Answer(scorer, opinions, bill=reply.bill)


def _describe(reply: Reply | Failure, span: Span) -> None:
    if isinstance(reply, Failure):
        span.failed(reply.code)
        return
    span.note({"faas.invocation_id": reply.request_id})
    if reply.bill:
        span.note({"sentiment.billed_ms": reply.bill.milliseconds})
    if reply.function_error:
        span.failed(reply.function_error)


async def identify(target: LambdaTarget) -> Outcome:
    """One harmless text through the whole way: the answer names the model and its version."""
    scorer = AwsLambdaScorer(target)
    item = Item("This works well.", (Member(1, b""),))
    try:
        return await scorer.score(Chunk(id=0, lane=Lane(0), items=(item,), root_id=0))
    finally:
        await scorer.close()


def _function_error(kind: str, payload: bytes) -> Failure:
    """HTTP 200 with X-Amz-Function-Error: the function raised, timed out or ran out of memory.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-retries.html
    """
    try:
        name = str(json.loads(payload).get("errorType"))
    except (ValueError, AttributeError, RecursionError):
        name = kind
    # The function's own message may quote a text; only the error's type is repeated, if it is one.
    if not _TYPE.fullmatch(name):
        name = kind if _TYPE.fullmatch(kind) else "Unhandled"
    return Failure(
        FailureKind.REJECTED, f"function_{name}"[:64], f"The function failed: {name[:64]}."
    )
