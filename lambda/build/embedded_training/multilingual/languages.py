"""Which languages a built model reads, how well, and what its probabilities lack in each: written
into its manifest, whose digest then changes with it.

    PYTHONPATH=../../.. python languages.py --data LABELLED --model work/embedded

From XLM-T's validation tweets: calibration that is measured on them afterwards is flattered. The
labels of the Hindi ones do not fit their texts, so Hindi is not among the languages of this recipe.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rows import LANGUAGES
from sentiment_function.model import OTHERS, Model, _digest

LEFT_OUT = ("hi",)
TEMPERATURES = [t / 10 for t in range(5, 31)]
Said = tuple[np.ndarray, int]
"""Logits of a text, and its label."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled sets")
    parser.add_argument("--model", type=Path, required=True, help="the folder of build.py")
    options = parser.parse_args()
    said = answers(Model(options.model), options.data / "xlmt")
    file = options.model / "manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    fitted = {language: temperature(rows) for language, rows in said.items()}
    manifest["temperature"] = {OTHERS: 1.0} | fitted
    manifest["languages"] = {language: round(right(rows), 3) for language, rows in said.items()}
    manifest["digest"] = _digest(manifest)
    file.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps({name: manifest[name] for name in ("temperature", "languages")}, indent=1))


def answers(model: Model, tweets: Path) -> dict[str, list[Said]]:
    """By language: the file has them one after the other, in equal parts."""
    labels = (tweets / "val_labels.txt").read_text("utf-8").split()
    texts = (tweets / "val_text.txt").read_text("utf-8").split("\n")[: len(labels)]
    # As the function reads them, but before any temperature.
    windows = [model._windows(text)[0][0] for text in texts]  # noqa: SLF001
    logits = model._logits(windows)  # noqa: SLF001
    said = list(zip(logits, map(int, labels), strict=True))
    part = len(said) // len(LANGUAGES)
    return {
        language: said[n * part : (n + 1) * part]
        for n, language in enumerate(LANGUAGES)
        if language not in LEFT_OUT
    }


def temperature(said: Sequence[Said]) -> float:
    """That which surprises least."""

    def surprise(t: float) -> float:
        return sum(_log_total(logits / t) - logits[label] / t for logits, label in said)

    return min(TEMPERATURES, key=surprise)


def right(said: Sequence[Said]) -> float:
    return sum(int(logits.argmax()) == label for logits, label in said) / len(said)


def _log_total(logits: np.ndarray) -> float:
    top = float(logits.max())
    return top + math.log(float(np.exp(logits - top).sum()))


if __name__ == "__main__":
    main()
