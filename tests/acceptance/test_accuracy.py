"""Is a score right? The embedded model and TextBlob side by side on labelled sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sentiment_function.model import EMBEDDED, Model

from tests.conftest import DATA, needs_data
from worker.scoring import textblob

LABELLED = DATA / "labelled"


def sst2() -> list[tuple[str, str]]:
    lines = (LABELLED / "sst2_dev.tsv").read_text("utf-8").splitlines()[1:]
    rows = [line.rsplit("\t", 1) for line in lines]
    return [(text, "positive" if label == "1" else "negative") for text, label in rows]


def uci(name: str) -> list[tuple[str, str]]:
    lines = (LABELLED / f"uci_{name}.txt").read_text("utf-8").split("\n")
    rows = [line.rsplit("\t", 1) for line in lines if "\t" in line]
    return [(text, "positive" if label.strip() == "1" else "negative") for text, label in rows]


def tweets() -> list[tuple[str, str]]:
    names = ("negative", "neutral", "positive")
    texts = (LABELLED / "xlmt" / "val_text.txt").read_text("utf-8").split("\n")
    labels = (LABELLED / "xlmt" / "val_labels.txt").read_text("utf-8").split("\n")
    # Eight languages in equal parts, English the second; none of these was trained on.
    english = slice(324, 648)
    return [(t, names[int(y)]) for t, y in zip(texts[english], labels[english], strict=True)]


@needs_data
@pytest.mark.parametrize(
    ("name", "rows", "at_least"),
    [
        ("sst2 dev, two classes", sst2, 0.88),
        ("uci amazon, two classes", lambda: uci("amazon"), 0.90),
        ("uci yelp, two classes", lambda: uci("yelp"), 0.90),
        ("XLM-T English tweets, three classes", tweets, 0.70),
    ],
)
def test_the_model_is_better_than_its_stopgap(
    name: str, rows: object, at_least: float, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = rows()  # type: ignore[operator]
    texts, expected = zip(*labelled, strict=True)
    two = "neutral" not in expected
    model = _accuracy(Model(EMBEDDED).sentiments(texts), expected, two=two)
    blob = _accuracy(textblob.opinions(texts), expected, two=two)
    with capsys.disabled():
        print(f"\n  {name}: {len(texts):,} texts, model {model:.3f}, TextBlob {blob:.3f}")
    assert model >= at_least
    assert model > blob


def _accuracy(said: Sequence[Any], expected: tuple[str, ...], *, two: bool) -> float:
    """Of two classes by the sign of the polarity; who cannot say is wrong, or neutral."""
    hits = 0
    for opinion, label in zip(said, expected, strict=True):
        if two:
            hits += opinion is not None and (opinion.polarity > 0) == (label == "positive")
        else:
            hits += (opinion.label if opinion else "neutral") == label
    return hits / len(expected)
