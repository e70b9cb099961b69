"""Texts scored now, in this process, and stored nowhere: for a first try, and for a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from worker import chunk
from worker.clean import clean
from worker.errors import WorkerError
from worker.records import (
    Answer,
    Chunk,
    Failure,
    FailureKind,
    Item,
    Lane,
    Member,
    Opinion,
    Outcome,
    ScorerId,
)
from worker.scoring import textblob, wire
from worker.scoring.aws_lambda import read_reply
from worker.scoring.target import LambdaTarget

CALL_TEXTS = 1_000
CALL_BYTES = 5_500_000
"""Of one call: below Lambda's 6 MB."""

SMALLER = (FailureKind.REJECTED, FailureKind.TOO_LARGE)
"""Failures that fewer texts may not meet."""


class ScoringFailed(WorkerError):
    """The function gave no usable answer; nothing else was tried. `code` is short and stable."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message or f"The function gave no usable answer: {failure.code}.")
        self.code = failure.code


@dataclass(frozen=True, slots=True)
class Scored:
    """A text with its sentiment; label, score and polarity are None where there is nothing to say:
    an empty text, or one of which TextBlob knows no word."""

    text: str
    label: str | None
    score: float | None
    """The probability of `label`, in [0, 1]."""
    polarity: float | None
    """From -1 (negative) to 1 (positive)."""
    model: str
    model_version: str
    language: str | None = None
    """As it was detected; None where that is unsure."""
    language_supported: bool = True
    """False where the model was not made for that language: the label is a guess."""


def score(target: LambdaTarget | None, texts: Sequence[str]) -> list[Scored]:
    """One result a text, in order; `target` None asks TextBlob. One call, if that holds them all.

    Raises ScoringFailed; ConfigurationError for what a person must change.
    """
    cleaned = [clean(text) for text in texts]
    items = chunk.distinct(
        (Member(n, found.content_hash), found.text)
        for n, found in enumerate(cleaned)
        if found.skip_reason is None
    )
    ask = _asker(target)
    opinions: dict[int, tuple[Opinion | None, ScorerId]] = {}
    for part in chunk.plan(items, max_items=CALL_TEXTS, max_bytes=CALL_BYTES):
        for asked, answer in _answered(ask, part):
            for item, opinion in zip(asked, answer.opinions, strict=True):
                opinions |= {m.record_id: (opinion, answer.scorer) for m in item.members}
    return [_scored(text, *opinions.get(n, (None, None))) for n, text in enumerate(texts)]


Items = tuple[Item, ...]
Ask = Callable[[Items], Outcome]


def _answered(ask: Ask, items: Items) -> Iterator[tuple[Items, Answer]]:
    """A function that cannot take all of them at once (too many tokens for its time, or one text
    that it fails on) is asked for fewer."""
    outcome = ask(items)
    if isinstance(outcome, Answer):
        yield items, outcome
    elif outcome.kind in SMALLER and len(items) > 1:
        for part in chunk.split(items, 2):
            yield from _answered(ask, part)
    else:
        raise ScoringFailed(outcome)


def _asker(target: LambdaTarget | None) -> Ask:
    if target is None:
        return lambda items: Answer(
            textblob.scorer_id(), textblob.opinions([item.text for item in items])
        )
    from worker.scoring.invoke import Invoker  # boto3 is slow to import

    invoker = Invoker(target)

    def ask(items: Items) -> Outcome:
        wanted = Chunk(id=0, lane=Lane(0), items=items, root_id=0)
        reply = invoker.invoke((wire.encode(wanted), None))
        if isinstance(reply, Failure):
            return reply
        return read_reply(reply, wanted, target.plain_scorer)

    return ask


def _scored(text: str, opinion: Opinion | None, scorer: ScorerId | None) -> Scored:
    label, score_, polarity, language = opinion or (None, None, None, None)
    model, version = (scorer.model, scorer.version) if scorer else ("", "")
    supported = not (scorer and scorer.languages and language) or language in scorer.languages
    return Scored(text, label, score_, polarity, model, version, language, supported)
