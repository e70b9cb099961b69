"""`worker.speech.Transcriber` over a Lambda: one call a window, tried again where that helps."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from worker.clean import storable
from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import Bill, Failure, FailureKind, Reach
from worker.scoring.invoke import Invoker, check_access
from worker.scoring.target import LambdaTarget, Reply
from worker.speech import Recording, RecordingRefused, TranscriptWindow
from worker.transcription import wire

log = get_logger(__name__)

MAX_ATTEMPTS = 4
MAX_FUNCTION_ERRORS = 2
"""Of one recording: the function ran out of time or memory over it, and will again."""

WARM_UP = (b'{"warmup": true}', None)
"""A call that loads the model, and transcribes nothing."""

PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0

ASSUMED_MEMORY_MB = 10_240
"""Where no report line tells it: what lambda/transcription/template.yaml gives the function."""


class FunctionTranscriber:
    """Calls a function; may be used from many threads."""

    def __init__(
        self,
        target: LambdaTarget,
        language: str | None,
        on_unusable_call: Callable[[Bill], None] = lambda bill: None,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`on_unusable_call` is told the cost of each call that ran, or may have, and brought
        nothing."""
        self._invoker = Invoker(target)
        self._target = target
        self._language = language
        self._on_unusable_call = on_unusable_call
        self._pause_s = pause_s
        self._closed = threading.Event()

    def transcribe(self, recording: Recording, from_s: float) -> TranscriptWindow:
        payload = wire.encode(recording, from_s, self._language)
        attempts = function_errors = 0
        throttled_until = time.monotonic() + self._target.timeout_s
        while True:
            if self._closed.is_set():
                raise SourceUnavailable("The reading has ended before it was transcribed.")
            found = self._attempt(payload, from_s)
            if isinstance(found, TranscriptWindow):
                return found
            log.warning("transcription.failed", attempt=attempts + 1, why=found.code)
            if found.kind is not FailureKind.THROTTLED or time.monotonic() > throttled_until:
                attempts += 1
            function_errors += found.code == "function_error"
            if function_errors == MAX_FUNCTION_ERRORS:
                self._raise_function_error(found)
            if attempts == MAX_ATTEMPTS:
                raise SourceUnavailable(
                    f"The transcription function gave no answer in {MAX_ATTEMPTS} attempts:"
                    f" {found.message}",
                    hint="The next run tries again.",
                )
            longest = min(LONGEST_PAUSE_S, self._pause_s * 4 ** (attempts + 1))
            pause_s = random.uniform(longest / 2, longest)  # noqa: S311  jitter
            self._closed.wait(max(pause_s, found.retry_after_s or 0.0))

    def close(self) -> None:
        """Nothing more is called. Calls under way end by themselves: nobody waits for them."""
        self._closed.set()

    def check(self) -> None:
        if failure := check_access(self._invoker.client, self._target):
            _raise_if_final(failure)
            told = f"The transcription function does not answer: {failure.message}"
            raise SourceUnavailable(told)

    def warm_up(self) -> None:
        """Let the local function load its model. Raises ConfigurationError where it cannot."""
        reply = self._invoker.invoke(WARM_UP)
        if isinstance(reply, Reply) and reply.function_error:
            raise ConfigurationError(
                f"The model of the local transcription function cannot be loaded: {_said(reply)}",
                hint="Check TRANSCRIPTION_MODEL.",
            )

    def _attempt(self, payload: bytes, from_s: float) -> TranscriptWindow | Failure:
        """One call. Raises where another would not help."""
        began = time.monotonic()
        reply = self._invoker.invoke((payload, None))
        bill = self._bill(reply, time.monotonic() - began)
        try:
            if isinstance(reply, Failure):
                _raise_if_final(reply)
                found: TranscriptWindow | Failure = reply
            elif reply.function_error:
                found = Failure(FailureKind.REJECTED, "function_error", _said(reply))
            else:
                return replace(wire.decode(reply.payload, from_s), bill=bill)
        except wire.BadAnswer as error:
            found = Failure(FailureKind.REJECTED, "bad_answer", str(error))
        except (RecordingRefused, ConfigurationError, SourceUnavailable):
            self._pay(bill)
            raise
        self._pay(bill)
        return found

    def _raise_function_error(self, failure: Failure) -> None:
        """A function that still answers a call without a recording failed because of this one;
        else it fails over all of them, and none is to blame."""
        reply = self._invoker.invoke(WARM_UP)
        if isinstance(reply, Reply) and not reply.function_error:
            raise RecordingRefused(f"the function failed twice over it: {failure.message}")
        raise SourceUnavailable(
            f"The transcription function fails: {failure.message}", hint="See its log."
        )

    def _pay(self, bill: Bill | None) -> None:
        if bill:
            self._on_unusable_call(bill)

    def _bill(self, reply: Reply | Failure, took_s: float) -> Bill | None:
        """By the report line; else the most that the call can have cost. None for what did not
        run."""
        if reply.bill:
            return reply.bill
        timeout_s = self._target.timeout_s
        if isinstance(reply, Failure) and reply.reach is not Reach.UNKNOWN:
            return None
        at_most = min(took_s, timeout_s) if isinstance(reply, Reply) else timeout_s
        return Bill(math.ceil(1000 * at_most), ASSUMED_MEMORY_MB, reported=False)


def _said(reply: Reply) -> str:
    """Of a function error: its type and message. The function's own errors quote no speech."""
    try:
        told = json.loads(reply.payload)
        said = f"{told.get('errorType', '')} {told.get('errorMessage', '')}".strip()
    except (ValueError, AttributeError, RecursionError):
        said = ""
    return storable(said or str(reply.function_error))[: wire.MAX_REASON_CHARS]


def _raise_if_final(failure: Failure) -> None:
    if failure.kind is FailureKind.MISCONFIGURED:
        told = failure.message.replace("LAMBDA_FUNCTION_NAME", "`function` of the source")
        raise ConfigurationError(f"The transcription function cannot be called: {told}")
    if failure.kind is FailureKind.TOO_LARGE:
        raise RecordingRefused("it is too large for a call: put it in S3, or compress it")
