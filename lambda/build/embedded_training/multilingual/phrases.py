"""Short texts of our own with a class: ratings, emoji, exclamations, plain facts, irony with a
misfortune. Their words are in phrases.json, in sixteen languages; written for this project, CC0.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2
CLASSES = {"negative": NEGATIVE, "neutral": NEUTRAL, "positive": POSITIVE}

WORDS: dict[str, Any] = json.loads(Path(__file__).with_name("phrases.json").read_text("utf-8"))

Labelled = tuple[str, int]

ENGLISH_FACTS, OTHER_FACTS = 30, 9
"""Sentences that are made of each pattern."""


def ratings(draw: random.Random) -> Iterator[Labelled]:
    yield from _of_so_many(WORDS["stars"], range(1, 6), 5, draw)
    yield from _of_so_many(WORDS["tenths"], range(11), 10, draw)
    for number in range(1, 6):
        label = (NEGATIVE, NEGATIVE, NEUTRAL, POSITIVE, POSITIVE)[number - 1]
        for text in ("⭐" * number, "★" * number, "★" * number + "☆" * (5 - number), "⭐️" * number):
            yield text, label
    for pattern in WORDS["no_rating"]:
        yield from ((pattern.format(n=number), NEUTRAL) for number in (1, 2, 3, 5, 7, 9))


def _of_so_many(
    patterns: list[str], numbers: range, full: int, draw: random.Random
) -> Iterator[Labelled]:
    """7 of 10 is left out: people mean either."""
    tails = ["", "", "", "!", ".", " would {b} again", " {b}"]
    verbs = {POSITIVE: ["recommend", "buy"], NEGATIVE: ["never buy", "not recommend"]}
    for pattern in patterns:
        for number in numbers:
            share = number / full
            if 0.65 < share < 0.75:
                continue
            label = POSITIVE if share >= 0.75 else NEUTRAL if share >= 0.5 else NEGATIVE
            tail = draw.choice(tails) if label != NEUTRAL else ""
            tail = tail.replace("{b}", draw.choice(verbs.get(label, [""])))
            yield pattern.format(n=number) + (tail if pattern.isascii() else ""), label


def emoji(draw: random.Random) -> Iterator[Labelled]:
    for label, signs in _by_class(WORDS["emoji"]):
        for sign in signs:
            yield sign, label
            yield sign * draw.randint(2, 4), label
            yield draw.choice(signs) + sign, label
            yield f"@user {sign}", label
            yield f"{draw.choice(signs)} {sign} {draw.choice(signs)}", label
    for label, signs in _by_class(WORDS["faces"]):
        for sign in signs:
            yield sign, label
            yield f"{sign} {sign}", label


def exclamations(draw: random.Random) -> Iterator[Labelled]:
    """Each word as it is, and three times dressed up: a capital, a stop, an emoji of its class."""
    for label, languages in _by_class(WORDS["words"]):
        for words in languages.values():
            for word in words:
                yield word, label
                yield from ((_dressed(word, label, draw), label) for _ in range(3))


def _dressed(word: str, label: int, draw: random.Random) -> str:
    form = draw.choice((word, word.capitalize(), word[:1].upper() + word[1:]))
    if label == NEUTRAL:
        return form + draw.choice(("", ".", "..", "?"))
    form = draw.choice((form, form, form.upper()))
    signs = WORDS["emoji"]["positive" if label == POSITIVE else "negative"]
    return form + draw.choice(("", "!", "!!", ".", " " + draw.choice(signs)))


def facts(draw: random.Random) -> Iterator[Labelled]:
    for language, patterns in WORDS["facts"].items():
        for pattern in patterns:
            for _ in range(ENGLISH_FACTS if language == "en" else OTHER_FACTS):
                text = pattern
                while "{" in text:
                    for slot, value in _slots(language, draw):
                        text = text.replace(slot, value, 1)
                yield text, NEUTRAL


def _slots(language: str, draw: random.Random) -> tuple[tuple[str, str], ...]:
    return (
        ("{thing}", draw.choice(WORDS["things"].get(language, ["-"]))),
        ("{day}", draw.choice(WORDS["days"].get(language, ["-"]))),
        ("{city}", draw.choice(WORDS["cities"])),
        ("{n}", str(draw.randint(2, 90))),
        ("{h}", str(draw.randint(7, 11))),
        ("{big}", str(draw.randint(60, 99_999))),
        ("{year}", str(draw.randint(1985, 2025))),
    )


def irony(draw: random.Random) -> Iterator[Labelled]:
    """The same words about a misfortune, and meant."""
    for label, kind in ((NEGATIVE, "irony"), (POSITIVE, "sincere")):
        for said in WORDS[kind].values():
            for pattern in said["patterns"]:
                for event in said["habits" if "{y}" in pattern else "events"]:
                    text = pattern.format(x=event, y=event)
                    yield text[:1].upper() + text[1:], label
                    if draw.random() < 0.3:
                        yield text.lower(), label


def _by_class(of: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    return ((CLASSES[name], values) for name, values in of.items())


KINDS: dict[str, Callable[[random.Random], Iterator[Labelled]]] = {
    "own ratings": ratings,
    "own emoji": emoji,
    "own exclamations": exclamations,
    "own facts": facts,
    "own irony": irony,
}
