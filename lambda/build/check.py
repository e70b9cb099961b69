"""Is the quantised model still the original, and does a score depend on its text alone?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoint import CannotBuild
from quantise import feed, session

SAME_LABEL = 0.97
"""Share of sentences, at least."""

MEAN_CHANGE = 0.03
"""Of a probability, at most."""

CHANGE_BY_BATCH = 0.005
"""Of any probability, at most, whatever its neighbours and their order."""


def compare(
    original: torch.nn.Module, quantised: Path, token_ids: Sequence[Sequence[int]]
) -> dict[str, float]:
    """Against the original, text by text; and against itself, in batches of any size and order."""
    small = session(quantised)
    exact = np.concatenate([_original(original, ids) for ids in token_ids])
    alone = np.concatenate([_softmax(small.run(None, feed([ids]))[0]) for ids in token_ids])
    draw = random.Random(0)
    moved, flipped = 0.0, 0
    for size in (2, 8, 32, 50):
        order = draw.sample(range(len(token_ids)), len(token_ids))
        for start in range(0, len(order), size):
            group = order[start : start + size]
            company = _softmax(small.run(None, feed([token_ids[i] for i in group]))[0])
            moved = max(moved, float(np.abs(alone[group] - company).max()))
            flipped += int((alone[group].argmax(1) != company.argmax(1)).sum())
    change = np.abs(alone - exact).max(1)
    return {
        "sentences": len(token_ids),
        "mean_change": round(float(change.mean()), 4),
        "p99_change": round(float(np.quantile(change, 0.99)), 4),
        "same_label": round(float((alone.argmax(1) == exact.argmax(1)).mean()), 4),
        "largest_change_by_batch": round(moved, 6),
        "labels_flipped_by_batch": flipped,
    }


def require_good(facts: dict[str, float]) -> None:
    """Raises CannotBuild for a model that is not to be trusted."""
    broken = [
        sentence
        for holds, sentence in (
            (facts["same_label"] >= SAME_LABEL, f"same_label is below {SAME_LABEL}"),
            (facts["mean_change"] <= MEAN_CHANGE, f"mean_change is above {MEAN_CHANGE}"),
            (
                facts["largest_change_by_batch"] <= CHANGE_BY_BATCH,
                f"largest_change_by_batch is above {CHANGE_BY_BATCH}",
            ),
            (not facts["labels_flipped_by_batch"], "labels flip with their neighbours"),
        )
        if not holds
    ]
    if broken:
        raise CannotBuild(
            f"The quantised model is not the original: {'; '.join(broken)} ({facts}). Calibrate it "
            "with texts like yours: --sentences FILE."
        )


def _original(model: torch.nn.Module, ids: Sequence[int]) -> Any:
    with torch.no_grad():
        logits = model(
            input_ids=torch.tensor([list(ids)]), attention_mask=torch.ones(1, len(ids)).long()
        ).logits
    return _softmax(logits.numpy())


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
