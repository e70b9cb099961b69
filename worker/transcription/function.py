"""`worker.speech.Transcriber` over a Lambda: one call a window, tried again where that helps."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Bill, Failure, FailureKind, Reach
from worker.scoring.invoke import Invoker, check_access
from worker.scoring.target import LambdaTarget, Reply
from worker.speech import AudioRefused, Heard, Recording
from worker.transcription import wire

log = get_logger(__name__)

ATTEMPTS = 4
FAILED_ATTEMPTS = 2
"""Of calls in which the function itself ended: of time, or of memory, and it will again."""

PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0

MAX_AWS_BYTES = 4 * 1024 * 1024
"""Of a recording that travels in the call: 6 MB in base64, and room for what is said with it.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

ASSUMED_MEMORY_MB = 10_240
"""Where no report line tells the function's: what lambda/transcription.yaml gives it."""


class FunctionTranscriber:
    """Calls a function; may be used from many threads."""

    def __init__(
        self,
        target: LambdaTarget,
        language: str | None,
        failed: Callable[[Bill], None],
        *,
        most_bytes: int = MAX_AWS_BYTES,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`failed` is told the cost of each call that ran, or may have, and brought nothing."""
        self._invoker = Invoker(target)
        self._target = target
        self._timeout_s = target.timeout_s
        self._language = language
        self._failed = failed
        self._most_bytes = most_bytes
        self._pause_s = pause_s
        self._closed = threading.Event()

    def hear(self, recording: Recording, from_s: float) -> Heard:
        if recording.content is not None and len(recording.content) > self._most_bytes:
            raise AudioRefused(
                f"it has {len(recording.content):,} bytes, and a call takes at most"
                f" {self._most_bytes:,}: put it in S3, or compress it"
            )
        payload = wire.encode(recording, from_s, self._language)
        ended, why = 0, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                longest = min(LONGEST_PAUSE_S, self._pause_s * 4**attempt)
                self._closed.wait(random.uniform(longest / 2, longest))  # noqa: S311  jitter
            if self._closed.is_set():
                raise SourceUnavailable(
                    "The reading has ended; what was under way is not waited for."
                )
            found = self._attempt(payload, from_s)
            if isinstance(found, Heard):
                return found
            log.warning("transcription.failed", attempt=attempt + 1, why=found.code)
            why = found.message
            ended += found.code == "function_ended"
            if ended == FAILED_ATTEMPTS:
                raise AudioRefused(f"the function ended twice over it: {why}")
        raise SourceUnavailable(
            f"The transcription function gave no answer in {ATTEMPTS} attempts: {why}",
            hint="The next run tries again.",
        )

    def close(self) -> None:
        """Nothing more is called; calls under way end by themselves, in threads of others."""
        self._closed.set()

    def check(self) -> None:
        if failure := check_access(self._invoker.client, self._target):
            _raise_if_final(failure)
            raise SourceUnavailable(
                f"The transcription function does not answer: {failure.message}"
            )

    def _attempt(self, payload: bytes, from_s: float) -> Heard | Failure:
        """One call. Raises AudioRefused and ConfigurationError where another would not help."""
        began = time.monotonic()
        reply = self._invoker.invoke((payload, None))
        bill = self._bill(reply, time.monotonic() - began)
        try:
            if isinstance(reply, Failure):
                _raise_if_final(reply)
                found: Heard | Failure = reply
            elif reply.function_error:
                found = Failure(FailureKind.REJECTED, "function_ended", "see the function's log.")
            else:
                return replace(wire.decode(reply.payload, from_s), bill=bill)
        except wire.BadAnswer as error:
            found = Failure(FailureKind.REJECTED, "bad_answer", str(error))
        except (AudioRefused, ConfigurationError):
            self._pay(bill)
            raise
        self._pay(bill)
        return found

    def _pay(self, bill: Bill | None) -> None:
        if bill:
            self._failed(bill)

    def _bill(self, reply: Reply | Failure, took_s: float) -> Bill | None:
        """By the report line; else the most that the call can have cost. None for what did not
        run."""
        if reply.bill:
            return reply.bill
        if isinstance(reply, Failure) and reply.reach is not Reach.UNKNOWN:
            return None
        at_most = min(took_s, self._timeout_s) if isinstance(reply, Reply) else self._timeout_s
        return Bill(math.ceil(1000 * at_most), ASSUMED_MEMORY_MB, reported=False)


def _raise_if_final(failure: Failure) -> None:
    if failure.kind is FailureKind.MISCONFIGURED:
        told = failure.message.replace("LAMBDA_FUNCTION_NAME", "`function` of the source")
        raise ConfigurationError(f"The transcription function cannot be called: {told}")
    if failure.kind is FailureKind.TOO_LARGE:
        raise AudioRefused("it is too large for a call: put it in S3, or compress it")
