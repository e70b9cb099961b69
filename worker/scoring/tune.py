"""Measures a function as it stands and, in versions made for it, with other memory.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from botocore import exceptions as aws

from worker.errors import ConfigurationError
from worker.log import get_logger
from worker.records import Answer, Chunk, Item, Lane, Member
from worker.scoring.aws_lambda import AwsLambdaScorer
from worker.scoring.invoke import make_client
from worker.scoring.target import LambdaTarget
from worker.tuning import Trial

log = get_logger(__name__)

MANAGING_ATTEMPTS = 5

PERMISSIONS = (
    "lambda:GetFunction, lambda:GetFunctionConfiguration, lambda:ListVersionsByFunction,"
    " lambda:UpdateFunctionConfiguration, lambda:PublishVersion, lambda:DeleteFunction"
)


async def measure(
    target: LambdaTarget, texts: Sequence[str], sizes: Sequence[int], calls: int
) -> list[Trial]:
    """`calls` calls of each size, one after another, after a first that is cold and not counted."""
    scorer = AwsLambdaScorer(target)
    try:
        await scorer.score(_chunk(texts[:1]))
        return [await _trial(scorer, texts, size, calls) for size in sizes]
    finally:
        await scorer.close()


async def _trial(scorer: AwsLambdaScorer, texts: Sequence[str], size: int, calls: int) -> Trial:
    """Each call has the next texts, from the beginning again after the last."""
    endless, billed, memory_mb = itertools.cycle(texts), [], 0
    for _ in range(calls):
        outcome = await scorer.score(_chunk(list(itertools.islice(endless, size))))
        if not isinstance(outcome, Answer):
            return Trial(memory_mb, size, error=outcome.code)
        if outcome.bill is None:
            return Trial(memory_mb, size, error="no_report_line")
        memory_mb = outcome.bill.memory_mb
        billed.append(outcome.bill.milliseconds)
    return Trial(memory_mb, size, tuple(billed))


def _chunk(texts: Sequence[str]) -> Chunk:
    items = tuple(Item(text, (Member(n, b""),)) for n, text in enumerate(texts, 1))
    return Chunk(id=0, lane=Lane(0), items=items, root_id=0)


class Versions:
    """Versions of a function with other memory, deleted when they were measured.

    What callers use is not touched: only $LATEST changes for a moment, and gets its memory back.
    Raises ConfigurationError where AWS refuses.
    """

    def __init__(self, target: LambdaTarget) -> None:
        self._target = replace(target, function=_unqualified(target.function), qualifier=None)
        self._client = make_client(self._target, attempts=MANAGING_ATTEMPTS)

    def memory_mb(self) -> int:
        with _explained():
            return int(self._configuration()["MemorySize"])

    @contextmanager
    def with_memory(self, memory_mb: int) -> Iterator[LambdaTarget]:
        """A version with so much memory, to be called; it is gone afterwards."""
        before, known = self.memory_mb(), self._versions()
        log.info("tune.changes", memory_mb=memory_mb, before=before)
        try:
            with _explained():
                self._set(memory_mb)
                version = self._client.publish_version(
                    FunctionName=self._target.function, Description="measured by lambda tune"
                )["Version"]
                self._wait("published_version_active", Qualifier=version)
            yield replace(self._target, qualifier=version)
        finally:
            with _explained(f"It may stand at {memory_mb} MB now and belongs at {before} MB. "):
                self._wait("function_updated_v2")  # it may have been broken off in a change
                self._set(before)
                # Lambda gives an older version where nothing has changed since: that one stays.
                for made in self._versions() - known:
                    self._client.delete_function(FunctionName=self._target.function, Qualifier=made)
            log.info("tune.restored", memory_mb=before)

    def _configuration(self) -> Any:
        return self._client.get_function_configuration(FunctionName=self._target.function)

    def _set(self, memory_mb: int) -> None:
        self._client.update_function_configuration(
            FunctionName=self._target.function, MemorySize=memory_mb
        )
        self._wait("function_updated_v2")

    def _wait(self, what: str, **more: str) -> None:
        """Until Lambda has done it: it takes seconds, for an image up to minutes."""
        self._client.get_waiter(what).wait(FunctionName=self._target.function, **more)

    def _versions(self) -> set[str]:
        with _explained():
            pages = self._client.get_paginator("list_versions_by_function").paginate(
                FunctionName=self._target.function
            )
            return {version["Version"] for page in pages for version in page["Versions"]}


@contextmanager
def _explained(left: str = "") -> Iterator[None]:
    """`left` says how the function stands where it goes wrong."""
    try:
        yield
    except (aws.ClientError, aws.WaiterError, aws.BotoCoreError) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code") or type(error).__name__
        raise ConfigurationError(
            f"AWS did not let the function be changed: {code}.",
            hint=f"{left}Measuring other memory needs {PERMISSIONS} on the function. Without"
            " --memory nothing is changed.",
        ) from error


def _unqualified(function: str) -> str:
    """A name, partial ARN or ARN without its alias or version."""
    parts = function.split(":")
    if function.startswith("arn:"):
        return ":".join(parts[:7])
    if "function" in parts:  # 123456789012:function:name:live
        return ":".join(parts[: parts.index("function") + 2])
    return parts[0]
