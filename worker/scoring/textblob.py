"""TextBlob: the stopgap while the Lambda is away, or the scorer by choice.

It runs in a process of its own: 7,000 texts a second of pure Python would hold the
interpreter that the fan-out needs.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from importlib.metadata import version

from worker import child
from worker.child import Child, ChildDied
from worker.log import get_logger
from worker.records import Answer, Chunk, Failure, FailureKind, Opinion, Outcome, ScorerId

log = get_logger(__name__)

MAX_CHARS = 5_000
"""TextBlob's time grows faster than its input; this much costs about 30 ms."""

LABELS = ("negative", "neutral", "positive")
FIT = ((0.07, 0.14, -0.21), (-1.58, -0.19, 1.76), (0.26, -0.16, -0.1))
"""What TextBlob's polarity says of each label: logits, of 1, the polarity, and its distance from 0.
Fitted by tests/benchmarks/fit_textblob.py; docs/trust.md has the error before and after."""


def scorer_id() -> ScorerId:
    """`+1`: its polarity has become probabilities, by `FIT`."""
    return ScorerId("textblob", "pattern-en", f"{version('textblob')}+1", languages=("en",))


def polarity_of(text: str) -> float | None:
    """What TextBlob says, from -1 to 1; None where it cannot say: it answers 0.0 for a text without
    a word that it knows (German, emoji, markup)."""
    from textblob import TextBlob  # slow to import; only this process needs it

    found = TextBlob(text[:MAX_CHARS]).sentiment_assessments
    if not found.assessments:
        return None
    return max(-1.0, min(1.0, float(found.polarity)))


def opinion(text: str) -> Opinion | None:
    """TextBlob's opinion, or None where it cannot say. As of a model, `score` is the probability of
    the label, and `polarity` that of positive less that of negative, so that provisional numbers
    are on the scale of those that replace them."""
    polarity = polarity_of(text)
    if polarity is None:
        return None
    chances = probabilities(polarity)
    label = max(LABELS, key=lambda name: chances[name])
    return Opinion(label, chances[label], chances["positive"] - chances["negative"])


def probabilities(polarity: float) -> dict[str, float]:
    """Of each label, by `FIT`."""
    said = (1.0, polarity, abs(polarity))
    weights = [math.exp(sum(map(operator.mul, said, column))) for column in zip(*FIT, strict=True)]
    return {name: weight / sum(weights) for name, weight in zip(LABELS, weights, strict=True)}


def opinions(texts: Sequence[str]) -> list[Opinion | None]:
    return [opinion(text) for text in texts]


class TextBlobStopgap:
    """`worker.ports.Stopgap` in one child process, started when first needed."""

    def __init__(self) -> None:
        self._child = Child(__name__)

    async def opinions(self, texts: Sequence[str]) -> list[Opinion | None]:
        """Opinions, or None for each where the child was killed twice: it cannot say."""
        return await self.asked(texts) or [None] * len(texts)

    async def asked(self, texts: Sequence[str]) -> list[Opinion | None] | None:
        """Opinions, or None if the child was killed twice."""
        for _ in range(2):
            try:
                found: list[Opinion | None] = await self._child.call(list(texts))
                return found
            except ChildDied:  # memory, or an operator
                continue
        log.error("textblob.killed", advice="is there enough memory for a second process?")
        return None

    async def close(self) -> None:
        await self._child.close()


class TextBlobScorer:
    """`worker.ports.Scorer` for USE_LAMBDA_SENTIMENT=0: TextBlob by choice, not provisional."""

    def __init__(self, stopgap: TextBlobStopgap) -> None:
        self._stopgap = stopgap

    async def score(self, chunk: Chunk) -> Outcome:
        opinions = await self._stopgap.asked([item.text for item in chunk.items])
        if opinions is None:
            return Failure(FailureKind.REJECTED, "textblob_died", "TextBlob's process died.")
        return Answer(scorer_id(), opinions)

    async def prepare(self) -> None:
        """The first text starts its process; there is nothing to be gained before."""

    async def close(self) -> None:
        await self._stopgap.close()


if __name__ == "__main__":
    child.serve(lambda hello: (opinions, 1))
