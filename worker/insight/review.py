"""What people's review of drawn records says of the machine: accuracy, and corrected shares. Pure.

Only records that were drawn at random count: those that people choose to correct say little of the
others.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.polarity import Z95
from worker.store.analytics.reviews import RANDOM

LABELS = ("negative", "neutral", "positive")
DRAWS = 1_000
"""Of the posterior; its percentiles move by less than a point."""

PRIOR = 0.5
"""Jeffreys' for shares: https://doi.org/10.1214/ss/1009213286"""


@dataclass(frozen=True, slots=True)
class Share:
    """A share from 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the machine has the label that a person gives."""

    of: str
    """`all`, or a label, language or model: `label negative`."""
    judged: int
    right: int
    share: Share


@dataclass(frozen=True, slots=True)
class Corrected:
    """How much of the source has a label: as the machine counts, and as people would."""

    label: str
    counted: float
    corrected: Share


@dataclass(frozen=True, slots=True)
class Findings:
    drawn: int
    judged: int
    skipped: int
    at_random: int
    """Of the judged; the others are no sample."""
    drawn_at: datetime
    models: Sequence[str]
    """Name and version of those whose labels were judged at random."""
    accuracy: Sequence[Accuracy]
    corrected: Sequence[Corrected]
    confusion: Sequence[tuple[str, str, int]]
    """(the machine's label, the person's, records of the random part)."""
    judged_by_several: int
    """Records that more than one person judged."""
    agreement: float | None
    """Of those people: Krippendorff's alpha."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What people said of one drawn record elsewhere, as a file of theirs tells it."""

    review: int
    number: int
    text: str
    labels: Mapping[str, str]
    """By annotator: their id there, or their address."""


def findings(
    draw: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    judgements: Sequence[Mapping[str, Any]] = (),
) -> Findings:
    """`draw` says how many records the machine called what, where it was made, `items` are its
    records, `judgements` what each person said of them: rows of `analytics.reviews`,
    `review_items` and `review_judgements`."""
    said: dict[int, list[str]] = {}
    for each in judgements:
        if each["label"] in LABELS:
            said.setdefault(each["number"], []).append(each["label"])
    population = {label: int(draw[label]) for label in LABELS}
    judged = [item for item in items if item["person_label"] in LABELS]
    sample = [item for item in judged if item["part"] == RANDOM]
    confusion = Counter((item["machine_label"], item["person_label"]) for item in sample)
    return Findings(
        drawn=len(items),
        judged=len(judged),
        skipped=sum(item["skipped_why"] is not None for item in items),
        at_random=len(sample),
        drawn_at=draw["drawn_at"],
        models=sorted({item["model"] for item in sample}),
        accuracy=_accuracies(sample),
        corrected=corrected(population, confusion) if sample else (),
        confusion=[(*labels, count) for labels, count in sorted(confusion.items())],
        judged_by_several=sum(len(labels) > 1 for labels in said.values()),
        agreement=agreement(list(said.values())),
    )


def _accuracies(sample: Sequence[Mapping[str, Any]]) -> list[Accuracy]:
    groups: dict[str, list[bool]] = {}
    for item in sample:
        right = item["machine_label"] == item["person_label"]
        of = ["all", f"label {item['machine_label']}", f"model {item['model']}"]
        of += [f"language {item['language']}"] if item["language"] else []
        for name in of:
            groups.setdefault(name, []).append(right)
    return [
        Accuracy(name, len(hits), sum(hits), wilson(sum(hits), len(hits)))
        for name, hits in sorted(groups.items(), key=lambda group: (group[0] != "all", group[0]))
    ]


def agreement(judgements: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's alpha of what people said, a sequence of labels a record: 1 is full agreement,
    0 what chance gives. Negative and positive are twice as far apart as either and neutral. None
    where no record was judged twice, or all said the same of all.

    Krippendorff, Content Analysis, 2004, chapter 11, with its interval metric; for sentiment:
    https://doi.org/10.1371/journal.pone.0155036
    """
    places = {label: place for place, label in enumerate(LABELS)}
    units = [[places[label] for label in labels] for labels in judgements if len(labels) > 1]
    every = [place for unit in units for place in unit]
    expected = _distances(every)
    if not expected:
        return None
    observed = sum(_distances(unit) / (len(unit) - 1) for unit in units)
    return 1 - observed * (len(every) - 1) / expected


def _distances(places: Sequence[int]) -> int:
    """The sum of (a - b)² over all pairs, in both orders."""
    return 2 * len(places) * sum(place * place for place in places) - 2 * sum(places) ** 2


def wilson(hits: int, total: int) -> Share:
    """A share with its interval: https://doi.org/10.1080/01621459.1927.10502953"""
    p, n, z = hits / total, total, Z95
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Share(p, max(0.0, min(p, middle - spread)), min(1.0, max(p, middle + spread)))


def corrected(
    population: Mapping[str, int], confusion: Mapping[tuple[str, str], int]
) -> list[Corrected]:
    """Shares as people would count them: what the machine calls a record is known of all, and what
    people call those of a sample. Post-stratified, with the interval of its posterior (a Dirichlet
    for each of the machine's labels); the same records give the same numbers."""
    total = sum(population.values())
    weights = {label: population.get(label, 0) / total for label in LABELS}
    draw = random.Random(0)  # noqa: S311  statistics
    drawn = [_shares(weights, confusion, draw) for _ in range(DRAWS)]
    found = []
    for label in LABELS:
        values = sorted(shares[label] for shares in drawn)
        low, high = values[round(0.025 * DRAWS)], values[round(0.975 * DRAWS) - 1]
        middle = sum(values) / DRAWS
        found.append(Corrected(label, weights[label], Share(middle, low, high)))
    return found


def _shares(
    weights: Mapping[str, float], confusion: Mapping[tuple[str, str], int], draw: random.Random
) -> dict[str, float]:
    """One draw of what share people would call what."""
    found = dict.fromkeys(LABELS, 0.0)
    for said, weight in weights.items():
        gammas = [draw.gammavariate(confusion.get((said, p), 0) + PRIOR, 1.0) for p in LABELS]
        for label, gamma in zip(LABELS, gammas, strict=True):
            found[label] += weight * gamma / sum(gammas)
    return found
