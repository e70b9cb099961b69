"""A correction of a model's last layer: what it learns, what it leaves, and when it is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worker.insight import adapting
from worker.insight.adapting import Correction, Said, adapt, fit, mcnemar

WIDTH = 12


def said(count: int, seed: int) -> Said:
    """The model decides by the first two numbers of what its encoder says."""
    pooled = np.random.default_rng(seed).normal(size=(count, WIDTH))
    logits = np.stack([pooled[:, 0], np.zeros(count), pooled[:, 1]], axis=1)
    return Said(pooled, logits)


def people_of(texts: Said) -> Any:
    """They decide by the third, too."""
    return (texts.logits + np.outer(texts.pooled[:, 2], [2.0, 0.0, -2.0])).argmax(1)


def test_it_learns_what_people_say() -> None:
    texts = said(400, 1)
    found = adapt(texts, people_of(texts).tolist(), said(100, 2))
    assert found.right_after > found.right_before + 0.1
    assert found.gained > found.lost
    assert found.p_value < 0.001
    fresh = said(400, 3)
    right = (found.correction.logits(fresh).argmax(1) == people_of(fresh)).mean()
    assert right == pytest.approx(found.right_after, abs=0.06)


def test_of_labels_at_random_nothing_is_learnt() -> None:
    texts = said(200, 1)
    labels = np.random.default_rng(5).integers(0, 3, 200)
    found = adapt(texts, labels.tolist(), said(100, 2))
    assert "no better" in found.doubt or "changes the label" in found.doubt


def test_of_mistakes_alone_nothing_can_be_shown() -> None:
    """Whatever people say of texts that the model has wrong, any change looks like progress."""
    texts = said(400, 1)
    wrong = texts.of(texts.logits.argmax(1) != people_of(texts))
    found = adapt(wrong, people_of(wrong).tolist(), said(100, 2))
    assert found.gained > found.lost
    assert "little but mistakes" in found.doubt


def test_what_stands_for_the_rest_is_left_as_it_is() -> None:
    texts, anchor = said(200, 1), said(200, 2)
    everything = np.zeros(200, dtype=int)  # people call all of it negative
    found = fit(texts, everything, anchor, 3e-4)
    loose = fit(texts, everything, Said(anchor.pooled[:0], anchor.logits[:0]), 3e-4)
    before = anchor.logits.argmax(1)
    kept = (found.logits(anchor).argmax(1) == before).mean()
    assert kept > (loose.logits(anchor).argmax(1) == before).mean() + 0.1


def test_the_slope_is_zero_where_it_ends() -> None:
    """Held against the loss itself, by differences."""
    texts, anchor, ridge = said(60, 1), said(20, 2), 3e-2
    labels = people_of(texts)
    found = fit(texts, labels, anchor, ridge)

    def loss(weights: np.ndarray, bias: np.ndarray) -> float:
        correction = Correction(weights, bias)
        own = adapting.surprise(correction.logits(texts), labels) * 1.0
        wanted = adapting.softmax(anchor.logits)
        rest = -(wanted * np.log(adapting.softmax(correction.logits(anchor)))).sum(1).mean()
        total = 1.0 + adapting.ANCHOR_WEIGHT
        return float((own + adapting.ANCHOR_WEIGHT * rest) / total + ridge / 2 * (weights**2).sum())

    here = loss(found.weights, found.bias)
    rng = np.random.default_rng(7)
    for _ in range(20):
        aside = rng.normal(size=found.weights.shape) * 1e-2
        assert loss(found.weights + aside, found.bias) >= here - 1e-9


def test_mcnemar_is_the_exact_test() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(10, 0) == pytest.approx(2 / 2**10)
    assert mcnemar(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert mcnemar(2, 8) == mcnemar(8, 2)
    assert math.isfinite(mcnemar(4_000, 3_000))


def test_the_anchors_are_what_the_build_calibrates_with() -> None:
    built = Path(__file__).parents[3] / "lambda" / "build" / "sentences.txt"
    own = Path(adapting.__file__).with_name("anchors.txt")
    assert own.read_bytes().startswith(built.read_bytes())
