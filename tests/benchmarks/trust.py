"""How far to believe a score: the embedded model and TextBlob on labelled sets, written into
docs/trust.md, and what reports quote of it into worker/insight/measured.json.

    make trust          (two minutes; needs the labelled sets beside the checkout)

Texts that were trained on are left out; where sets are taken together each text counts once.
Two-class sets are judged by the sign of the polarity, three-class sets by the label. Intervals
are Wilson's, 95 %: https://doi.org/10.1080/01621459.1927.10502953
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sentiment_function.model import EMBEDDED, Model

from worker.scoring import textblob

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "lambda" / "build" / "embedded_training"))
import data  # type: ignore[import-not-found]  # noqa: E402  the training's own idea of its texts

LABELLED = ROOT.parent / "shared" / "data" / "labelled"
PAGE = ROOT / "docs" / "trust.md"
QUOTED = ROOT / "worker" / "insight" / "measured.json"
NAMES = ("negative", "neutral", "positive")
LANGUAGES = "Arabic English French German Hindi Italian Portuguese Spanish".split()
LENGTHS = ((1, 5), (6, 10), (11, 20), (21, 40), (41, 10_000))
SURE = (0.0, 0.5, 0.7, 0.9, 0.97, 1.001)


class Judged(NamedTuple):
    """A labelled text with what both say of it."""

    key: str
    words: int
    expected: str
    two_classes: bool
    label: str
    score: float
    polarity: float
    blob: float

    @property
    def is_right(self) -> bool:
        if self.two_classes:
            return (self.polarity > 0) == (self.expected == "positive")
        return self.label == self.expected

    @property
    def blob_is_right(self) -> bool:
        if self.two_classes:
            return (self.blob > 0) == (self.expected == "positive")
        return self.blob_label == self.expected

    @property
    def blob_label(self) -> str:
        band = textblob.NEUTRAL_BAND
        return NAMES[1 + (self.blob > band) - (self.blob < -band)]


Labelled = Sequence[tuple[str, str]]


def main() -> None:
    if not LABELLED.is_dir():
        sys.exit(f"The labelled sets are not at {LABELLED}.")
    model = Model(EMBEDDED)
    trained_on = _trained_on()
    english = {name: _judge(model, _unseen(rows(), trained_on)) for name, rows in SETS.items()}
    others = {
        language: _judge(model, _language(language))
        for language in LANGUAGES
        if language != "English"
    }
    every = _once(itertools.chain.from_iterable(english.values()))
    tweets = _once(
        english["XLM-T English tweets"] + english["TweetEval tweets, the half not trained on"]
    )
    tables = "\n\n".join(
        [
            f"Measured: {model.name} {model.version}, TextBlob {textblob.scorer_id().version}.",
            _by("set (English)", english),
            "By length, all of these sets together:",
            _by("words", {_span(span): _of_length(every, span) for span in LENGTHS}),
            "How sure it says it is (`score`), and how often it is right:",
            _by("score", {_band(b): _as_sure(every, b) for b in itertools.pairwise(SURE)}),
            "English tweets, three classes: what they are (rows), what the model says (columns).",
            _confusion(tweets),
            "Other languages (XLM-T tweets, three classes; guessing is right a third of the time):",
            _by("language", others),
        ]
    )
    head, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- figures -->")
    tail = rest.partition("<!-- /figures -->")[2]
    PAGE.write_text(f"{head}<!-- figures -->\n{tables}\n<!-- /figures -->{tail}", encoding="utf-8")
    blob = textblob.scorer_id()
    quoted = {
        f"{model.name} {model.version}": _found(
            f"{model.name} {model.version}", tweets, lambda j: j.label
        ),
        f"{blob.model} {blob.version}": _found(
            f"TextBlob {blob.version}", tweets, lambda j: j.blob_label
        ),
    }
    QUOTED.write_text(json.dumps(quoted, indent=2) + "\n", encoding="utf-8")
    print(tables)


def _found(name: str, judged: Sequence[Judged], said: Callable[[Judged], str]) -> dict[str, Any]:
    """How much of each label is found."""
    what = "labelled English tweets"
    found: dict[str, Any] = {"name": name, "what": what, "texts": len(judged)}
    for label in NAMES:
        of_label = [said(j) == label for j in judged if j.expected == label]
        found[label] = round(sum(of_label) / len(of_label), 4)
    return found


def _judge(model: Model, rows: Labelled) -> list[Judged]:
    texts = [text for text, _ in rows]
    two = all(label != "neutral" for _, label in rows)
    return [
        Judged(data.key(text), len(text.split()), label, two, said.label, said.score, said.polarity,
               blob.polarity if blob else 0.0)
        for (text, label), said, blob in zip(
            rows, model.sentiments(texts), textblob.opinions(texts), strict=True
        )
    ]  # fmt: skip


# -- the sets ------------------------------------------------------------------------------


def _lines(name: str) -> list[str]:
    return (LABELLED / name).read_text("utf-8").split("\n")


def _sst2() -> Labelled:
    rows = [line.rsplit("\t", 1) for line in _lines("sst2_dev.tsv")[1:] if line]
    return [(text, NAMES[2 * int(label)]) for text, label in rows]


def _sst_fine() -> Labelled:
    classes = ("negative", "negative", "neutral", "positive", "positive")
    return [(line[2:], classes[int(line[0])]) for line in _lines("sst_fine_dev.txt") if line]


def _uci(name: str) -> Labelled:
    rows = [line.rsplit("\t", 1) for line in _lines(f"uci_{name}.txt") if "\t" in line]
    return [(text, NAMES[2 * int(label)]) for text, label in rows]


def _trained_on() -> set[str]:
    """Keys of every text that the training has seen, by the training's own account."""
    every = [
        *data.training(LABELLED, data.development(LABELLED)),
        *data.sst2_rows(LABELLED / "sst2_train.tsv"),
    ]
    return {data.key(row.text) for row in every}


def _unseen(rows: Labelled, trained_on: set[str]) -> Labelled:
    """Without texts that were trained on, and each text once."""
    return [
        (text, label)
        for key, (text, label) in {data.key(text): (text, label) for text, label in rows}.items()
        if key not in trained_on
    ]


def _once(judged: Iterable[Judged]) -> list[Judged]:
    """Each text once, where several sets have it."""
    return list({j.key: j for j in judged}.values())


def _tweeteval() -> Labelled:
    held_back = (
        row for row in data.tweets(LABELLED, "val") if not data._is_training_tweet(row.text)
    )
    return [(row.text, NAMES[row.label]) for row in held_back]


def _language(language: str) -> Labelled:
    """XLM-T's validation tweets: eight languages in equal parts."""
    texts, labels = _lines("xlmt/val_text.txt"), _lines("xlmt/val_labels.txt")
    part, at = len([label for label in labels if label]) // 8, LANGUAGES.index(language)
    chosen = slice(at * part, (at + 1) * part)
    return [(t, NAMES[int(y)]) for t, y in zip(texts[chosen], labels[chosen], strict=True)]


def _vader(name: str) -> Labelled:
    """Mean ratings of ten people, from -4 to 4; within half a point of 0 counts as neutral."""
    rows = [line.split("\t", 2) for line in _lines(f"vader_{name}.txt") if line.count("\t") >= 2]
    return [(t, NAMES[1 + (float(r) > 0.5) - (float(r) < -0.5)]) for _, r, t in rows]


SETS: dict[str, Callable[[], Labelled]] = {
    "SST-2 sentences of film reviews, two classes": _sst2,
    "SST fine, folded to three classes": _sst_fine,
    "UCI Amazon reviews, two classes": lambda: _uci("amazon"),
    "UCI Yelp reviews, two classes": lambda: _uci("yelp"),
    "XLM-T English tweets": lambda: _language("English"),
    "TweetEval tweets, the half not trained on": _tweeteval,
    "VADER tweets": lambda: _vader("tweets"),
    "VADER product reviews": lambda: _vader("amazonReviewSnippets"),
    "VADER newspaper editorials": lambda: _vader("nytEditorialSnippets"),
}


# -- the tables ----------------------------------------------------------------------------


def _by(what: str, groups: dict[str, list[Judged]]) -> str:
    lines = [f"| {what} | texts | model right | TextBlob right |", "|---|---|---|---|"]
    for name, judged in groups.items():
        if judged:
            model = _share([j.is_right for j in judged])
            blob = _share([j.blob_is_right for j in judged])
            lines.append(f"| {name} | {len(judged):,} | {model} | {blob} |")
    return "\n".join(lines)


def _share(hits: Iterable[bool]) -> str:
    found = list(hits)
    low, high = wilson(sum(found), len(found))
    return f"{sum(found) / len(found):.1%} ({low:.1%} to {high:.1%})"


def wilson(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share: where the true one lies, 19 times of 20."""
    p, n = hits / total, total
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def _confusion(judged: Sequence[Judged]) -> str:
    counts = Counter((j.expected, j.label) for j in judged)
    lines = ["| | " + " | ".join(NAMES) + " | found |", "|---" * (len(NAMES) + 2) + "|"]
    for expected in NAMES:
        row = [counts[expected, said] for said in NAMES]
        found = _share([j.is_right for j in judged if j.expected == expected])
        lines.append(f"| **{expected}** | {' | '.join(map(str, row))} | {found} |")
    return "\n".join(lines)


def _of_length(judged: Iterable[Judged], span: tuple[int, int]) -> list[Judged]:
    return [j for j in judged if span[0] <= j.words <= span[1]]


def _as_sure(judged: Iterable[Judged], band: tuple[float, float]) -> list[Judged]:
    return [j for j in judged if band[0] <= j.score < band[1]]


def _span(span: tuple[int, int]) -> str:
    return f"{span[0]} to {span[1]}" if span[1] < 10_000 else f"{span[0]} and more"


def _band(band: tuple[float, float]) -> str:
    return f"{band[0]:g} to {min(band[1], 1):g}"


if __name__ == "__main__":
    main()
