"""Fits the probabilities that TextBlob's polarity stands for; prints `worker.scoring.textblob.FIT`.

    python -m tests.benchmarks.fit_textblob     (a minute; needs the labelled sets)

Multinomial logistic regression on 1, the polarity and its distance from 0, by gradient descent.
From training sets that `make trust` leaves out: sentences of film reviews, and the mix that the
English model was trained on; both weigh the same, and so do the three labels, for nobody knows the
shares on your texts.
"""

from __future__ import annotations

import random
import sys

import numpy as np

from tests.benchmarks import trust
from worker.scoring import textblob

sys.path.insert(0, str(trust.ROOT / "lambda" / "build" / "embedded_training"))
import data  # type: ignore[import-not-found]

FILM, MIX = 4_000, 8_000
STEPS, RATE, RIDGE = 3_000, 0.5, 1e-3


def main() -> None:
    draw = random.Random(0)
    film, mix = list(trust.sst_fine("train")), _mix()
    draw.shuffle(film)
    draw.shuffle(mix)
    parts = [_known(film[:FILM]), _known(mix[:MIX])]
    polarity = np.array([p for part in parts for p, _ in part])
    labels = np.array([label for part in parts for _, label in part])
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in parts])
    weights /= np.bincount(labels, weights=weights)[labels]
    print(np.round(_fitted(polarity, labels, weights), 2).tolist())


def _mix() -> list[tuple[str, str]]:
    rows = data.training(trust.LABELLED, data.development(trust.LABELLED))
    return [(row.text, trust.NAMES[row.label]) for row in rows]


def _known(rows: trust.Labelled) -> list[tuple[float, int]]:
    """Polarity and label of the texts of which TextBlob can say something."""
    found = [(textblob.polarity_of(text), label) for text, label in rows]
    return [(p, trust.NAMES.index(label)) for p, label in found if p is not None]


def _fitted(polarity: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A row each of 1, polarity and its distance from 0; a column a label."""
    said = np.stack([np.ones_like(polarity), polarity, np.abs(polarity)], axis=1)
    wanted, share = np.eye(3)[labels], (weights / weights.sum())[:, None]
    found = np.zeros((3, 3))
    for _ in range(STEPS):
        chances = np.exp(said @ found)
        chances /= chances.sum(axis=1, keepdims=True)
        found -= RATE * (said.T @ ((chances - wanted) * share) + RIDGE * found)
    return found


if __name__ == "__main__":
    main()
