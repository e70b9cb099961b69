"""A Lambda that errs, throttles, goes away, or cannot bear one text."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tests.faults.conftest import Note, Scale
from tests.faults.endpoint import FaultyLambda
from tests.faults.plot import draw
from tests.faults.world import Workers, World
from tests.make import chunk
from tests.scripted_lambda import Response, aws_error, function_error
from worker.aws import Access
from worker.records import Answer, FailureKind
from worker.scoring.aws_lambda import AwsLambdaScorer
from worker.scoring.target import LambdaTarget

pytestmark = pytest.mark.timeout(1800)

MISCONFIGURED, THROTTLED, TOO_LARGE, UNAVAILABLE, REJECTED = (
    FailureKind.MISCONFIGURED,
    FailureKind.THROTTLED,
    FailureKind.TOO_LARGE,
    FailureKind.UNAVAILABLE,
    FailureKind.REJECTED,
)

# What the policy's table says of each error that AWS documents for Invoke: warming up, or AWS's
# own trouble, is retried; a setting that is wrong is not; what is too large is split.
ERRORS: dict[str, FailureKind] = {
    **dict.fromkeys(
        "CodeArtifactUserPendingException EC2UnexpectedException EFSIOException "
        "EFSMountConnectivityException EFSMountTimeoutException ENILimitReachedException "
        "ENINotReadyException ResourceConflictException ResourceNotReadyException "
        "S3FilesMountConnectivityException S3FilesMountTimeoutException ServiceException "
        "SnapStartException SnapStartNotReadyException SnapStartRegenerationFailureException "
        "SnapStartTimeoutException SubnetIPAddressLimitReachedException".split(),
        UNAVAILABLE,
    ),
    **dict.fromkeys(["TooManyRequestsException", "EC2ThrottledException"], THROTTLED),
    **dict.fromkeys(
        ["RequestTooLargeException", "SerializedRequestEntityTooLargeException"], TOO_LARGE
    ),
    "InvalidRequestContentException": REJECTED,
}
"""Every other modelled error is a setting that a person must change."""


def modelled_errors() -> list[tuple[str, int]]:
    """(error code, HTTP status) as the SDK's own service model lists them for Invoke."""
    operation = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    return [
        (shape.error_code or shape.name, int(shape.metadata["error"]["httpStatusCode"]))
        for shape in operation.error_shapes
    ]


def _wrapped(body: Any) -> bytes:
    return json.dumps({"statusCode": 200, "body": body}).encode()


def _result(**changes: Any) -> dict[str, Any]:
    return {"sentiment": "positive", "score": 0.9, "polarity": 0.9} | changes


def _body(**changes: Any) -> dict[str, Any]:
    return {"results": [_result(), _result()], "count": 2, "ids": ["1", "2"]} | changes


GOOD: Any = "good"
SHAPES: list[tuple[str, bytes, Any]] = [
    ("object", _wrapped(_body()), GOOD),
    ("body as a JSON string", _wrapped(json.dumps(_body())), GOOD),
    ("bare", json.dumps(_body()).encode(), GOOD),
    ("doubly encoded", json.dumps(json.dumps(_body())).encode(), GOOD),
    ("plain, without ids", _wrapped({"results": [_result(), _result()]}), GOOD),
    ("ids in another order", _wrapped(_body(ids=["2", "1"])), GOOD),
    ("cut", _wrapped(_body())[:40], REJECTED),
    ("empty", b"", REJECTED),
    ("null", b"null", REJECTED),
    ("a list", b"[]", REJECTED),
    ("HTML", b"<html>Bad gateway</html>", REJECTED),
    ("too short", _wrapped(_body(results=[_result()])), REJECTED),
    ("too long", _wrapped(_body(results=[_result()] * 3)), REJECTED),
    ("another count", _wrapped(_body(count=3)), REJECTED),
    ("a doubled id", _wrapped(_body(ids=["1", "1"])), REJECTED),
    ("a foreign id", _wrapped(_body(ids=["1", "9"])), REJECTED),
    ("NaN", _wrapped(_body(results=[_result(score=float("nan")), _result()])), REJECTED),
    ("a score of 1.5", _wrapped(_body(results=[_result(score=1.5), _result()])), REJECTED),
    ("a score of true", _wrapped(_body(results=[_result(score=True), _result()])), REJECTED),
    ("no label", _wrapped(_body(results=[{"score": 0.5}, _result()])), REJECTED),
    ("status 500, a string", json.dumps({"statusCode": 500, "body": "no"}).encode(), REJECTED),
    ("deeply nested", b"[" * 100_000, REJECTED),
]


def test_every_error_and_every_shape(endpoint: FaultyLambda, note: Note) -> None:
    cases: list[tuple[str, Response, Any]] = [
        (code, aws_error(status, code), ERRORS.get(code, MISCONFIGURED))
        for code, status in modelled_errors()
    ]
    cases += [
        ("an unknown error", aws_error(418, "NobodyKnowsException"), UNAVAILABLE),
        (
            "a code that no AWS sends",
            Response(b'{"code": "a\\u0000\\ud800"}', status=500),
            UNAVAILABLE,
        ),
        ("an answer without an end", Response(b" " * (8 << 20)), REJECTED),
        ("a function error", function_error(), REJECTED),
        *((name, Response(payload), expected) for name, payload, expected in SHAPES),
    ]
    found = asyncio.run(_outcomes(endpoint, [response for _, response, _ in cases]))
    wrong = [
        (name, got) for (name, _, want), got in zip(cases, found, strict=True) if got != (want, 1)
    ]
    note(
        "7",
        f"{len(modelled_errors())} modelled errors of Invoke, an unknown one,"
        f" {len(SHAPES)} shapes of body",
        f"{len(cases) - len(wrong)} of {len(cases)} as the table names; one request an attempt",
        "all",
    )
    assert not wrong
    assert len(modelled_errors()) >= 40


async def _outcomes(endpoint: FaultyLambda, responses: list[Response]) -> list[tuple[Any, int]]:
    """(kind of outcome, HTTP requests) of one attempt each."""
    target = LambdaTarget(
        "f", Access("local"), endpoint_url=endpoint.url, timeout_s=5, max_concurrency=1
    )
    scorer = AwsLambdaScorer(target)
    found = []
    for response in responses:
        endpoint.script = lambda request, response=response: response
        before = len(endpoint.log)
        outcome = await scorer.score(chunk("one", "two"))
        kind = GOOD if isinstance(outcome, Answer) else outcome.kind
        found.append((kind, len(endpoint.log) - before))
    await scorer.close()
    return found


ENDINGS: list[tuple[str, Callable[[int], Response | None], tuple[int, str]]] = [
    # name, the answer to the n-th call, (exit code, what the analyst sees)
    ("throttled twice", lambda n: aws_error(429, "Throttling") if n < 2 else None, (0, "model")),
    ("down", lambda n: aws_error(500, "ServiceException"), (6, "provisional")),
    ("no such function", lambda n: aws_error(404, "ResourceNotFoundException"), (2, "provisional")),
    ("denied", lambda n: aws_error(403, "AccessDeniedException"), (2, "provisional")),
    ("too large", lambda n: aws_error(413, "RequestTooLargeException"), (6, "provisional")),
    ("always failing", lambda n: function_error(), (6, "provisional")),
    ("failing twice", lambda n: function_error() if n < 2 else None, (0, "model")),
]


@pytest.mark.parametrize(("name", "answer", "ending"), ENDINGS, ids=[e[0] for e in ENDINGS])
def test_the_state_that_the_table_names(
    world: World,
    endpoint: FaultyLambda,
    name: str,
    answer: Callable[[int], Response | None],
    ending: tuple[int, str],
) -> None:
    world.configure("review")
    with world.connect() as connection:
        connection.execute("INSERT INTO review (body) VALUES ('a good day'), ('a bad night')")
    calls = itertools.count()
    endpoint.script = lambda request: answer(next(calls))
    done = world.once(SENTIMENT_MAX_ATTEMPTS="3")
    seen = {
        "provisional" if provisional else "model"
        for (provisional,) in world.rows("SELECT provisional FROM analytics.current_sentiment")
    }
    assert (done.code, seen) == (ending[0], {ending[1]}), done.err
    ((invocations,),) = world.rows("SELECT sum(invocations) FROM sentiment.run")
    assert invocations == len(endpoint.log), "one attempt is one HTTP request"
    if ending[0] == 2:
        assert len(endpoint.log) == 1, "a broken configuration is not tried again"
    world.settle()
    assert world.rows("SELECT count(*) FROM analytics.current_sentiment WHERE NOT provisional") == [
        (2,)
    ]


def test_concurrency_control(
    world: World, endpoint: FaultyLambda, scale: Scale, note: Note
) -> None:
    seconds = scale.of(8, 30)
    endpoint.latency_s, endpoint.limit = 0.1, 16
    world.shell.variables |= {"SENTIMENT_CHUNK_TEXTS": "2", "SENTIMENT_MAX_CONCURRENCY": "64"}
    world.configure("review", every="1s")
    world.fill(seconds * 2 * (16 + 4 + 32) * 11)
    phases = []
    with Workers(world, 1):
        # The way up finds the limit by running into it: that is no part of a phase of seconds.
        world.wait_until(lambda: endpoint.calls["limit"] > 0)
        time.sleep(0.5)
        found_by = endpoint.calls["limit"]
        for limit, throttled_at_most in ((16, 0.03), (4, 0.20), (32, 0.03)):
            endpoint.limit = limit
            started = time.monotonic()
            time.sleep(seconds)
            phases.append((limit, throttled_at_most, started, time.monotonic()))
    log = list(endpoint.log)
    figures = []
    for limit, at_most, start, end in phases:
        calls = [throttled for at, _, throttled in log if start <= at < end]
        share = sum(calls) / len(calls)
        reached = (len(calls) - sum(calls)) / (end - start) / (limit / endpoint.latency_s)
        figures.append((limit, share, at_most, reached))
    if scale.full:
        draw(Path("docs/concurrency.svg"), log, phases, endpoint.latency_s)
    note(
        "8",
        f"concurrency 64 against a limit of 16 (found by {found_by} throttled calls), then 4, then"
        f" 32, {seconds} s each",
        "; ".join(
            f"{limit}: {share:.1%} throttled, {r:.0%} of the possible"
            for limit, share, _, r in figures
        ),
        "3 / 20 / 3 % throttled, 75 % of the possible",
    )
    assert found_by <= 2 * 16, "slow start doubles: it overshoots by no more than that"
    assert all(share <= at_most for _, share, at_most, _ in figures), figures
    # Short phases hold more of the way up from 4 to 32, which is slow on purpose.
    wanted = 0.75 if scale.full else 0.6
    assert all(reached >= wanted for *_, reached in figures), figures


@pytest.mark.parametrize("fallback", ["immediate", "defer"])
def test_the_lambda_goes_away_and_comes_back(
    world: World, endpoint: FaultyLambda, scale: Scale, note: Note, fallback: str
) -> None:
    away_s: float = scale.of(5, 60)
    world.shell.variables["SENTIMENT_FALLBACK_POLICY"] = fallback
    world.configure("review")
    world.fill(200)
    with Workers(world, 1):
        world.wait_until(lambda: world.truth("review").lost == 0)
        endpoint.away = True
        started = time.monotonic()
        world.fill(400)
        time.sleep(away_s)
        if fallback == "immediate":
            world.wait_until(lambda: _provisional(world) == 400)
        provisional = _provisional(world)
        away_s = time.monotonic() - started
        endpoint.away = False
        world.wait_until(lambda: world.truth("review").lost == 0, 60)
    # The first calls find it gone and open the circuit; from then on one probe a window (1 s).
    probes = [at for at in endpoint.refused if at - started > 4.0]
    windows = away_s - 4.0
    note(
        "9",
        f"the Lambda away for {away_s:.0f} s, then back; fallback {fallback}",
        f"{len(probes)} probes in {windows:.0f} windows; {provisional} provisional scores,"
        f" {_provisional(world)} after its return",
        "one probe a window; provisional as the policy says; all replaced",
    )
    assert len(probes) <= windows + 1
    assert provisional == (400 if fallback == "immediate" else 0)
    assert _provisional(world) == 0


def _provisional(world: World) -> int:
    ((count,),) = world.rows("SELECT count(*) FROM analytics.current_sentiment WHERE provisional")
    return int(count)


def _poison(world: World, count: int) -> None:
    """A hundred texts, `count` of them poisoned, beside a hundred longer ones that are answered."""
    world.fill(100)
    short = "SELECT id FROM review WHERE length(body) < 200 ORDER BY id DESC LIMIT 100"
    chosen = world.rng.sample([id_ for (id_,) in world.rows(short)], count)
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO review (body) SELECT repeat('good ', 40) || gen_random_uuid()"
            " FROM generate_series(1, 100)"
        )
        connection.execute(
            "UPDATE review SET body = 'toxi' || substr(body, 5) WHERE id = ANY(%s)", (chosen,)
        )


@pytest.mark.parametrize(("poisoned", "at_most"), [(1, 15), (3, 33)])
def test_poisoned_texts(
    world: World,
    endpoint: FaultyLambda,
    scale: Scale,
    note: Note,
    poisoned: int,
    at_most: float,
) -> None:
    world.configure("review")
    endpoint.script = lambda request: (
        function_error() if any(text.startswith("toxi") for text in request["texts"]) else None
    )
    calls = []
    for _ in range(scale.of(4, 20)):
        _poison(world, poisoned)
        before = len(endpoint.log)
        done = world.once(SENTIMENT_CHUNK_TEXTS="100")
        assert done.code == 5, done.err
        calls.append(len(endpoint.log) - before - 1)  # one was of the texts beside
    scorers = Counter(
        (text.startswith("toxi"), provisional)
        for text, provisional in world.rows(
            "SELECT text, provisional FROM analytics.current_sentiment"
        )
    )
    rounds = len(calls)
    note(
        "10",
        f"{poisoned} poisoned of 100 texts in a chunk, {rounds} times",
        f"{statistics.mean(calls):.1f} calls on average; {scorers[False, False]} of"
        f" {rounds * (200 - poisoned)} healthy texts scored by the model",
        f"{at_most:.0f} calls, every healthy text by the model",
    )
    assert scorers == {
        (False, False): rounds * (200 - poisoned),
        (True, True): rounds * poisoned,
    }
    # Six rounds have a mean of their own.
    assert statistics.mean(calls) <= at_most + (0 if scale.full else 4)
    # After the repair, the poison is scored and quarantine is empty.
    endpoint.script = None
    done = world.shell("quarantine", "redrive", "--all", "--config", world.config)
    assert done.code == 0, done.err
    assert world.rows("SELECT count(*) FROM sentiment.quarantine") == [(0,)]
    assert _provisional(world) == 0
