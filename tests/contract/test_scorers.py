"""What every scorer keeps: one suite, over TextBlob and over the Lambdas that are at hand.

tests/infrastructure/test_scorer.py runs it over AWS's runtime interface emulator.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psutil
import pytest

from tests.make import chunk
from tests.scripted_lambda import Response, ScriptedLambda, aws_error, scored
from worker.aws import Access
from worker.ports import Scorer
from worker.records import Answer, Failure, FailureKind, Opinion, Outcome, Reach
from worker.scoring.aws_lambda import AwsLambdaScorer
from worker.scoring.target import LambdaTarget
from worker.scoring.textblob import TextBlobScorer, TextBlobStopgap
from worker.settings import LOCAL_FUNCTION

T = TypeVar("T")

LABELS = ("positive", "neutral", "negative")
NEAR = 0.005
"""A probability may move by less than this with a text's neighbours."""

ODD = {
    "one character": "a",
    "a question mark": "?",
    "spaces": " \t\n ",
    "emoji": "\U0001f600\U0001f44d\U0001f3fd",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "half a flag": "\U0001f1e9",
    "Chinese": "\u6211\u559c\u6b22\u8fd9\u4e2a\u4ea7\u54c1",
    "right to left": "\u0623\u062d\u0628 \u0647\u0630\u0627 \u0627\u0644\u0645\u0646\u062a\u062c",
    "turned round": "\u202eevol I\u202c \u2066nested\u2069",
    "stacked accents": "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d" * 40,
    "not composed": "cafe\u0301 na\u0308ive \ufb01ne",
    "no character at all": "\uffff\ufdd0\U0010ffff",
    "private": "\ue000\U000f0000",
    "a mark of byte order": "\ufeffmark",
    "separators of lines": "one\u2028two\u2029three\x85four\x0bfive",
    "control characters": "\x01\x02\x1b[31mred\x7f",
    "quotes and backslashes": '"\\" \'\\u0000\' \\ud800 {"texts": []}',
    "markup": "<p>so</p><script>1</script>&lt;&#0;",
    "a word without an end": "x" * 5_000,
    "very long": "This goes on and on. " * 1_000,
    "very long, of punctuation": "!?" * 4_000,
}


def good(number: int) -> str:
    return f"A good day, I love it: number {number}"


def bad(number: int) -> str:
    return f"A bad day, it is terrible: number {number}"


def mixed(seed: int, count: int = 20) -> list[str]:
    """Good and bad ones, in an order of their own."""
    chance = random.Random(seed)
    return [chance.choice((good, bad))(100 * seed + n) for n in range(count)]


def labels(texts: Iterable[str]) -> list[str]:
    """Of `good` and `bad` texts."""
    return ["positive" if "good" in text else "negative" for text in texts]


@dataclass(frozen=True)
class Kind:
    """A scorer: how an instance is made, and what is known of them all."""

    make: Callable[[], Scorer]
    provider: str
    can_always_say: bool


def over(url: str, function: str, *, at_once: int) -> Kind:
    """The Lambda at `url`, which takes so many calls at once."""
    target = LambdaTarget(
        function, Access("local"), endpoint_url=url, timeout_s=60, max_concurrency=at_once
    )
    return Kind(partial(AwsLambdaScorer, target), "lambda", can_always_say=True)


def late(request: dict[str, Any], number: int) -> Response:
    """The right answer; of four calls that come together the last is answered first."""
    time.sleep(0.01 * (3 - number % 4))
    return scored(request)


@pytest.fixture(params=["TextBlob", "scripted Lambda", "local Lambda"])
def kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "TextBlob":
        stopgap = TextBlobStopgap
        return Kind(lambda: TextBlobScorer(stopgap()), "textblob", can_always_say=False)
    if request.param == "local Lambda":
        return over(request.getfixturevalue("local_lambda"), LOCAL_FUNCTION, at_once=2)
    server: ScriptedLambda = request.getfixturevalue("scripted_lambda")
    server.script = late
    return over(server.url, "scripted", at_once=4)


def scene(kind: Kind, act: Callable[[Scorer], Awaitable[T]]) -> T:
    """What comes of an act with an instance of its own; nothing of it is left behind."""

    async def play() -> T:
        scorer = kind.make()
        try:
            return await act(scorer)
        finally:
            await scorer.close()

    found = asyncio.run(play())
    assert not _helpers(), "a process outlives its scorer"
    return found


def _helpers() -> list[psutil.Process]:
    """Processes of this one in which scorers do their work."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            if "worker.scoring" in " ".join(child.cmdline()):
                found.append(child)
    return found


def opinions(outcome: Outcome) -> Sequence[Opinion | None]:
    assert isinstance(outcome, Answer), outcome
    return outcome.opinions


def said(outcome: Outcome) -> list[str | None]:
    return [opinion.label if opinion else None for opinion in opinions(outcome)]


def is_near(one: Opinion | None, other: Opinion | None) -> bool:
    if one is None or other is None:
        return one is other
    moved = abs(one.score - other.score), abs(one.polarity - other.polarity)
    return one.label == other.label and max(moved) < NEAR


def has_bounds(opinion: Opinion) -> bool:
    """Is it a label with its probability and a polarity that has the label's sign?"""
    signs = {"positive": opinion.polarity > 0, "negative": opinion.polarity < 0, "neutral": True}
    is_within = 0.0 <= opinion.score <= 1.0 and -1.0 <= opinion.polarity <= 1.0
    return is_within and signs[opinion.label]


def asked(kind: Kind, chunks: Iterable[Sequence[str]], *, together: bool = False) -> list[Outcome]:
    """Of one instance, call by call or all at the same time."""

    async def act(scorer: Scorer) -> list[Outcome]:
        if together:
            return await asyncio.gather(*(scorer.score(chunk(*texts)) for texts in chunks))
        return [await scorer.score(chunk(*texts)) for texts in chunks]

    return scene(kind, act)


class ScorerSuite:
    """A subclass in a test module runs it, over the module's fixture `kind`."""

    def test_one_opinion_an_item_in_the_chunks_order(self, kind: Kind) -> None:
        texts = [text * (1 + n % 7) for n, text in enumerate(mixed(1, 60))]
        (outcome,) = asked(kind, [texts])
        assert said(outcome) == labels(texts)

    def test_odd_texts_have_an_opinion_or_none_and_shift_nothing(self, kind: Kind) -> None:
        found = asked(kind, [[good(1), odd, bad(2)] for odd in ODD.values()])
        for name, outcome in zip(ODD, found, strict=True):
            first, odd, last = opinions(outcome)
            assert first, name
            assert last, name
            assert (first.label, last.label) == ("positive", "negative"), name
            assert odd is not None or not kind.can_always_say, name
            for opinion in (first, odd, last):
                assert opinion is None or has_bounds(opinion), (name, opinion)

    def test_where_it_cannot_say_it_says_nothing(self, kind: Kind) -> None:
        texts = [ODD["emoji"], ODD["Chinese"], ODD["spaces"]]
        (outcome,) = asked(kind, [texts])
        assert [opinion is None for opinion in opinions(outcome)] == [not kind.can_always_say] * 3

    def test_a_text_has_its_opinion_whatever_its_neighbours_and_their_order(
        self, kind: Kind
    ) -> None:
        texts = [*mixed(2, 8), "It came on Monday.", *ODD.values()]
        orders = [random.Random(seed).sample(texts, len(texts)) for seed in range(2)]
        found = asked(kind, [*([text] for text in texts), *orders])
        alone = dict(zip(texts, [opinions(each)[0] for each in found], strict=False))
        for order, outcome in zip(orders, found[len(texts) :], strict=True):
            for text, opinion in zip(order, opinions(outcome), strict=True):
                assert is_near(opinion, alone[text]), (text[:40], opinion, alone[text])

    def test_who_says_it_is_named_and_stays_the_same(self, kind: Kind) -> None:
        one, other = asked(kind, [mixed(3), [good(1)]]), asked(kind, [[ODD["emoji"]]])
        scorers = {each.scorer for each in (*one, *other) if isinstance(each, Answer)}
        (scorer,) = scorers
        assert scorer.provider == kind.provider
        assert scorer.model
        assert scorer.version

    def test_calls_at_the_same_time_do_not_mix_their_answers(self, kind: Kind) -> None:
        chunks = [mixed(seed) for seed in range(12)]
        found = asked(kind, chunks, together=True)
        assert [said(each) for each in found] == [labels(texts) for texts in chunks]

    def test_a_call_that_is_cancelled_takes_no_other_with_it(self, kind: Kind) -> None:
        chunks = [mixed(seed) for seed in range(6)]

        async def all_but_the_last(scorer: Scorer) -> list[list[str | None]]:
            calls = [asyncio.create_task(scorer.score(chunk(*texts))) for texts in chunks]
            await asyncio.sleep(0.01)
            calls.pop().cancel()
            return [said(each) for each in await asyncio.gather(*calls)]

        async def act(scorer: Scorer) -> list[list[list[str | None]]]:
            """While its process starts, and while calls are on their way."""
            return [await all_but_the_last(scorer) for _ in range(2)]

        assert scene(kind, act) == [[labels(texts) for texts in chunks[:-1]]] * 2

    def test_it_may_be_prepared_again_and_starts_no_second_process(self, kind: Kind) -> None:
        async def act(scorer: Scorer) -> tuple[Outcome, int]:
            await asyncio.gather(scorer.prepare(), scorer.prepare())
            await scorer.prepare()
            outcome = await scorer.score(chunk(good(1)))
            await scorer.prepare()
            return outcome, len(_helpers())

        outcome, helpers = scene(kind, act)
        assert said(outcome) == ["positive"]
        assert helpers == 1

    def test_it_may_be_closed_unused_prepared_and_twice(self, kind: Kind) -> None:
        async def nothing(scorer: Scorer) -> None: ...

        async def prepared(scorer: Scorer) -> None:
            await scorer.prepare()
            await asyncio.gather(scorer.close(), scorer.close())

        scene(kind, nothing)
        scene(kind, prepared)

    def test_closing_one_closes_no_other(self, kind: Kind) -> None:
        async def act(scorer: Scorer) -> list[Outcome]:
            other = kind.make()
            found = [await other.score(chunk(good(1))), await scorer.score(chunk(bad(1)))]
            await other.close()
            return [*found, await scorer.score(chunk(good(2)))]

        assert [said(each) for each in scene(kind, act)] == [
            ["positive"],
            ["negative"],
            ["positive"],
        ]

    def test_a_scorer_whose_process_is_killed_fails_and_answers_afterwards(
        self, kind: Kind
    ) -> None:
        async def act(scorer: Scorer) -> tuple[Outcome, Outcome]:
            call = asyncio.create_task(scorer.score(chunk(*mixed(1))))
            while not call.done():
                for helper in _helpers():
                    os.kill(helper.pid, signal.SIGKILL)
                await asyncio.sleep(0.002)
            return await call, await scorer.score(chunk(good(1)))

        failed, answered = scene(kind, act)
        assert isinstance(failed, Failure)
        assert failed.kind in (FailureKind.UNAVAILABLE, FailureKind.REJECTED)
        assert failed.code
        assert said(answered) == ["positive"]


class TestScorer(ScorerSuite):
    """Over each kind."""


AWAY = "http://127.0.0.1:9"
"""Nobody listens there."""


def test_a_lambda_that_is_away_is_a_failure_of_each_call() -> None:
    chunks = [mixed(seed) for seed in range(3)]
    for outcome in asked(over(AWAY, "scripted", at_once=2), chunks, together=True):
        assert isinstance(outcome, Failure)
        assert (outcome.kind, outcome.reach) == (FailureKind.UNAVAILABLE, Reach.NOT_SENT)
        assert outcome.bill is None, "nothing ran"


TROUBLE = {
    "hangs up": Response(drop=True),
    "half an answer": Response(b'{"statusCode": 200', cut=True),
    "no JSON": Response(b"\xff"),
    "throttled": aws_error(429, "TooManyRequestsException"),
}


@pytest.mark.parametrize("response", TROUBLE.values(), ids=TROUBLE.keys())
def test_what_goes_wrong_with_one_call_is_its_failure_alone(
    scripted_lambda: ScriptedLambda, response: Response
) -> None:
    """tests/faults/test_lambda.py has every error, and the kind of each."""
    scripted_lambda.script = lambda request, number: (
        response if "bad" in request["texts"][0] else scored(request)
    )
    chunks = [[bad(n) if n % 2 else good(n)] for n in range(6)]
    found = asked(over(scripted_lambda.url, "scripted", at_once=4), chunks, together=True)
    assert [type(each) for each in found] == [Answer, Failure] * 3
    assert len(scripted_lambda.requests) == len(chunks), "one attempt is one request"
