"""Is a score right? The embedded model and TextBlob side by side on labelled sentences."""

from __future__ import annotations

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
    by_model = [s.polarity for s in Model(EMBEDDED).sentiments(texts)]
    by_blob = [o.polarity if o else 0.0 for o in textblob.opinions(texts)]
    model = _accuracy(by_model, expected, two=two, band=0.0)
    labels = [s.label for s in Model(EMBEDDED).sentiments(texts)]
    if not two:
        model = sum(a == b for a, b in zip(labels, expected, strict=True)) / len(labels)
    blob = _accuracy(by_blob, expected, two=two, band=textblob.NEUTRAL_BAND)
    with capsys.disabled():
        print(f"\n  {name}: {len(texts):,} texts, model {model:.3f}, TextBlob {blob:.3f}")
    assert model >= at_least
    assert model > blob


def _accuracy(
    polarities: list[float], expected: tuple[str, ...], *, two: bool, band: float
) -> float:
    hits = 0
    for polarity, label in zip(polarities, expected, strict=True):
        if two:
            said = "positive" if polarity > 0 else "negative"
        else:
            said = (
                "neutral" if abs(polarity) <= band else "positive" if polarity > 0 else "negative"
            )
        hits += said == label
    return hits / len(expected)
