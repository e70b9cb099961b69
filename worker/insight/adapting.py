"""A model learns from people's corrections: a correction of its last layer. Pure; needs numpy.

The encoder stays as it is. To the logits of a text is added what a linear map makes of the
encoder's output, fitted to what people said. Three things hold it back: a ridge, so that it stays
near 0; sentences that stand for everything else, on which it is to say what the model says already
(learning without forgetting, https://arxiv.org/abs/1606.09282); and a test on corrections that it
has not seen, without which nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

RIDGES = (1e-2, 1e-3, 3e-4, 1e-4)
FOLDS = 5
ANCHOR_WEIGHT = 2.4
"""Of all anchor sentences together, beside all corrections."""

FEWEST = 50
"""Corrections: with fewer nothing can be shown."""

SIGNIFICANT = 0.05
CONFIRMED = 0.1
"""Of the labels, those that the model has already, at least: where people only point out mistakes,
any change looks like progress."""

KEPT = 0.85
"""Of the anchors that must keep their label."""

STEPS = 600
TEMPERATURES = [t / 20 for t in range(10, 61)]


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of texts."""

    pooled: Any
    """Of shape (texts, width): the encoder's output."""
    logits: Any
    """Of shape (texts, labels)."""

    def of(self, rows: Any) -> Said:
        return Said(self.pooled[rows], self.logits[rows])


@dataclass(frozen=True, slots=True)
class Correction:
    weights: Any
    """Of shape (width, labels)."""
    bias: Any

    def logits(self, said: Said) -> Any:
        return said.logits + said.pooled @ self.weights + self.bias


@dataclass(frozen=True, slots=True)
class Adapted:
    """A correction, and what it does to texts that it was not fitted on (cross-validated)."""

    correction: Correction
    ridge: float
    temperature: float
    corrections: int
    right_before: float
    """A share of the corrections, as are the next two."""
    right_after: float
    gained: int
    """Corrections that only the adapted model gets right."""
    lost: int
    """Those that only the model before got right."""
    p_value: float
    """McNemar's exact test of the last two."""
    kept: float
    """The share of the anchors that keep their label."""

    @property
    def doubt(self) -> str:
        """Why it should not be used; empty where it is shown to be better."""
        if self.right_before < CONFIRMED:
            return (
                "People corrected little but mistakes: such labels cannot show what would be lost."
                " Judge a sample, too: sentiment-worker review draw"
            )
        if self.gained <= self.lost or self.p_value >= SIGNIFICANT:
            return "It is no better on corrections that it had not seen."
        if self.kept < KEPT:
            return f"It changes the label of {1 - self.kept:.0%} of sentences of other kinds."
        return ""


def anchors() -> list[str]:
    """Sentences of every kind that a correction should not change: those that lambda/build
    calibrates with (a test holds the two together), and made-up ones as people write them in
    public: questions, announcements, mentions."""
    text = files("worker.insight").joinpath("anchors.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line.strip()]


def adapt(said: Said, labels: Sequence[int], anchor: Said) -> Adapted:
    """`labels` are what people say of the texts, as places in the model's labels; `anchor` is what
    the model says of `anchors`. The same texts give the same correction."""
    people = np.asarray(labels)
    folds = np.random.default_rng(0).permutation(len(people)) % FOLDS
    unseen = {ridge: _cross_validated(said, people, anchor, ridge, folds) for ridge in RIDGES}
    ridge = min(RIDGES, key=lambda each: surprise(unseen[each], people))
    after, before = unseen[ridge].argmax(1) == people, said.logits.argmax(1) == people
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    correction = fit(said, people, anchor, ridge)
    kept = correction.logits(anchor).argmax(1) == anchor.logits.argmax(1)
    return Adapted(
        correction,
        ridge,
        min(TEMPERATURES, key=lambda t: surprise(unseen[ridge] / t, people)),
        len(people),
        float(before.mean()),
        float(after.mean()),
        gained,
        lost,
        mcnemar(gained, lost),
        float(kept.mean()),
    )


def _cross_validated(said: Said, people: Any, anchor: Said, ridge: float, folds: Any) -> Any:
    """Logits of each text, by a correction that was fitted without it."""
    found = np.zeros_like(said.logits)
    for fold in range(FOLDS):
        held = folds == fold
        correction = fit(said.of(~held), people[~held], anchor, ridge)
        found[held] = correction.logits(said.of(held))
    return found


def fit(said: Said, people: Any, anchor: Said, ridge: float) -> Correction:
    """Multinomial logistic regression with the model's own logits as an offset, by accelerated
    gradient descent (FISTA, https://doi.org/10.1137/080716542)."""
    x = np.vstack([said.pooled, anchor.pooled])
    x = np.hstack([x, np.ones((len(x), 1))])
    offset = np.vstack([said.logits, anchor.logits])
    wanted = np.vstack([np.eye(offset.shape[1])[people], softmax(anchor.logits)])
    share = np.full(len(x), 1.0 / len(people))
    share[len(people) :] = ANCHOR_WEIGHT / max(1, len(anchor.pooled))
    share = (share / share.sum())[:, None]
    penalty = np.full((x.shape[1], 1), ridge)
    penalty[-1] = 0.0  # the bias
    step = 1.0 / (0.5 * np.linalg.norm(x * np.sqrt(share), 2) ** 2 + ridge)
    found = ahead = np.zeros((x.shape[1], offset.shape[1]))
    pace = 1.0
    for _ in range(STEPS):
        slope = x.T @ ((softmax(offset + x @ ahead) - wanted) * share) + penalty * ahead
        last, found = found, ahead - step * slope
        faster = (1 + math.sqrt(1 + 4 * pace * pace)) / 2
        ahead, pace = found + (pace - 1) / faster * (found - last), faster
    return Correction(found[:-1], found[-1])


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def surprise(logits: Any, people: Any) -> float:
    """The mean of -log of the probability that people's label is given."""
    chances = softmax(logits)[np.arange(len(people)), people]
    return float(-np.log(np.maximum(chances, 1e-12)).mean())


def mcnemar(gained: int, lost: int) -> float:
    """The two-sided p-value of the exact test: https://doi.org/10.1007/BF02295996"""
    total = gained + lost
    if not total:
        return 1.0
    tail = sum(math.comb(total, k) for k in range(min(gained, lost) + 1)) / 2**total
    return float(min(1.0, 2 * tail))
