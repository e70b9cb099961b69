"""TextBlob: the stopgap while the Lambda is away, or the scorer by choice.

It runs in a process of its own: 7,000 texts a second of pure Python would hold the
interpreter that the fan-out needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from worker import child
from worker.child import Child, ChildDied
from worker.log import get_logger
from worker.records import Answer, Chunk, Failure, FailureKind, Opinion, Outcome, ScorerId

log = get_logger(__name__)

MAX_CHARS = 5_000
"""TextBlob's time grows faster than its input; this much costs about 30 ms."""

NEUTRAL_BAND = 0.1
"""Polarities within +-0.1 are called neutral."""


def scorer_id() -> ScorerId:
    return ScorerId("textblob", "pattern-en", version("textblob"), languages=("en",))


def opinion(text: str) -> Opinion | None:
    """TextBlob's opinion, or None where it cannot say.

    It answers 0.0 for a text without a word it knows (German, emoji, markup): that is "cannot
    say", not neutral. `score` is (1 + |polarity|) / 2, so that a label's score grows from 0.5.
    """
    from textblob import TextBlob  # slow to import; only this process needs it

    found = TextBlob(text[:MAX_CHARS]).sentiment_assessments
    if not found.assessments:
        return None
    polarity = max(-1.0, min(1.0, float(found.polarity)))
    if abs(polarity) <= NEUTRAL_BAND:
        return Opinion("neutral", 1.0 - abs(polarity), polarity)
    label = "positive" if polarity > 0 else "negative"
    return Opinion(label, (1.0 + abs(polarity)) / 2.0, polarity)


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
