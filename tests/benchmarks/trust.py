"""How far to believe a score: the models that ship, and TextBlob, on labelled sets; written into
docs/trust.md, and what reports quote of it into worker/insight/measured.json.

    make trust          (five minutes; needs the labelled sets beside the checkout)

Texts that were trained on are left out; where sets are taken together each text counts once.
Two-class sets are judged by the sign of the polarity, three-class sets by the label. Intervals
are Wilson's, 95 %: https://doi.org/10.1080/01621459.1927.10502953
Calibration error is the mean distance of confidence and accuracy in ten bins of equal width:
https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import random
import re
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
from sentiment_function.language import Detector, detector
from sentiment_function.model import EMBEDDED, ENGLISH, Model

from tests.benchmarks import checklist
from worker.insight import drawing, review
from worker.insight.charts import LIGHT
from worker.records import Opinion
from worker.scoring import textblob

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "lambda" / "build" / "embedded_training"))
import data  # type: ignore[import-not-found]  # noqa: E402  the training's own idea of its texts

DATA = ROOT.parent / "shared" / "data"
LABELLED, AIRLINES = DATA / "labelled", DATA / "ingest" / "airline_tweets.csv"
PAGE = ROOT / "docs" / "trust.md"
DIAGRAM = ROOT / "docs" / "calibration.svg"
QUOTED = ROOT / "worker" / "insight" / "measured.json"
NAMES = ("negative", "neutral", "positive")
LANGUAGES = "Arabic English French German Hindi Italian Portuguese Spanish".split()
CODES = "ar en fr de hi it pt es".split()
LENGTHS = ((1, 5), (6, 10), (11, 20), (21, 40), (41, 10_000))
SURE = (0.0, 0.5, 0.7, 0.9, 1.001)
BINS = 10
WIDTH = 99
"""Of the page's prose, in columns."""
AT_ONCE = 1_000
"""Texts of a call, whose tokens are limited."""
SAMPLES = 500
"""Of the reviewed; 0.95 is told with an error of a point."""
MODEL, PLAIN, SMALL = "multilingual", "multilingual, before", "English"
BLOB, OLD_BLOB = "TextBlob", "TextBlob, before"
SHOWN = (MODEL, SMALL, BLOB)


OF_LANGUAGES = (
    "Tweets in eight languages (XLM-T; guessing is right a third of the time). The labels of the"
    " Hindi ones do not fit their texts: nobody can be right about them."
)
OF_CALIBRATION = (
    "Calibration error, before and after its temperatures (0 means: of what it calls 80 % sure,"
    " 80 % is right). The temperatures of Arabic, French, Italian, Portuguese and Spanish were"
    " fitted on these very tweets; the other rows are of texts that had no say. TextBlob's is of"
    " texts with a word that it knows; it reads English alone:"
)
OF_CHECKLIST = (
    "A checklist of short texts, written for this project (tests/benchmarks/checklist.py): the"
    " share that gets the label that people would give."
)
OF_REVIEW = (
    "`review report`, tried on {count:,} tweets about airlines that people have labelled: of random"
    " samples, how often the interval of a corrected share holds the share that people count. As"
    " `review draw --n 200` does, half of a draw is at random."
)
OF_DETECTION = (
    "Which language a text is in, told by the function (tweets without handles and links; then one"
    " to five words of each):"
)


class Judged(NamedTuple):
    """A labelled text with what each says of it."""

    key: str
    words: int
    expected: str
    two_classes: bool
    said: dict[str, Opinion]

    def is_right(self, who: str) -> bool:
        if self.two_classes:
            return (self.said[who].polarity > 0) == (self.expected == "positive")
        return self.said[who].label == self.expected


Labelled = Sequence[tuple[str, str]]
Ask = Callable[[Sequence[str]], list[Opinion]]


def main() -> None:
    if not LABELLED.is_dir():
        sys.exit(f"The labelled sets are not at {LABELLED}.")
    model, small = Model(EMBEDDED), Model(ENGLISH)
    judges = {MODEL: _asked(model), PLAIN: _uncalibrated(), SMALL: _asked(small), BLOB: _blob}
    judges[OLD_BLOB] = _uncalibrated_blob
    trained_on = _trained_on()
    english = {name: _judge(judges, _unseen(rows(), trained_on)) for name, rows in SETS.items()}
    languages = {name: _judge(judges, _language(name)) for name in LANGUAGES}
    every = _once(itertools.chain.from_iterable(english.values()))
    tweets = _once(
        english["XLM-T English tweets"] + english["TweetEval tweets, the half not trained on"]
    )
    blob = textblob.scorer_id()
    three = {name: judged for name, judged in english.items() if not judged[0].two_classes}
    tables = "\n\n".join(
        [
            _measured(model, small),
            _by("set (English)", english),
            OF_LANGUAGES,
            _by("language", languages),
            "By length, all English sets together:",
            _by("words", {_span(span): _of_length(every, span) for span in LENGTHS}),
            "How sure the multilingual model says it is (`score`), and how often it is right:",
            _by("score", {_band(b): _as_sure(every, b) for b in itertools.pairwise(SURE)}),
            OF_CALIBRATION,
            _calibration({**{k: v for k, v in languages.items() if k != "Hindi"}, **three}),
            "English tweets: what they are (rows), what the multilingual model says (columns).",
            _confusion(tweets),
            OF_CHECKLIST,
            _checklist(judges),
            OF_DETECTION,
            _detection(),
            _reviewed(judges[MODEL]),
        ]
    )
    head, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- figures -->")
    tail = rest.partition("<!-- /figures -->")[2]
    tables = "\n".join(
        textwrap.fill(line, WIDTH) if line[:1] != "|" else line for line in tables.splitlines()
    )
    PAGE.write_text(f"{head}<!-- figures -->\n{tables}\n<!-- /figures -->{tail}", encoding="utf-8")
    seven = [j for name, judged in languages.items() if name != "Hindi" for j in judged]
    DIAGRAM.write_text(_diagram(seven), encoding="utf-8")
    quoted = {
        f"{m.name} {m.version}": _found(f"{m.name} {m.version}", tweets, who)
        for m, who in ((model, MODEL), (small, SMALL))
    }
    quoted[f"{blob.model} {blob.version}"] = _found(f"TextBlob {blob.version}", tweets, BLOB)
    # What scored the history that people have keeps its figures.
    quoted = json.loads(QUOTED.read_text("utf-8")) | quoted
    QUOTED.write_text(json.dumps(quoted, indent=2) + "\n", encoding="utf-8")
    print(tables)


def _measured(model: Model, small: Model) -> str:
    return (
        f"Measured: {model.name} {model.version}, {small.name} {small.version}"
        f" (`MODEL_DIR=english`), TextBlob {textblob.scorer_id().version}."
    )


# -- who is asked --------------------------------------------------------------------------


def _asked(model: Model) -> Ask:
    def ask(texts: Sequence[str]) -> list[Opinion]:
        parts = (texts[n : n + AT_ONCE] for n in range(0, len(texts), AT_ONCE))
        said = itertools.chain.from_iterable(map(model.sentiments, parts))
        return [Opinion(s.label, s.score, s.polarity) for s in said]

    return ask


def _uncalibrated() -> Ask:
    model = Model(EMBEDDED)
    model._temperatures = {}
    return _asked(model)


def _blob(texts: Sequence[str]) -> list[Opinion]:
    """Where it cannot say it is taken for neutral."""
    return [opinion or Opinion("neutral", 0.0, 0.0) for opinion in textblob.opinions(texts)]


def _uncalibrated_blob(texts: Sequence[str]) -> list[Opinion]:
    """Its polarity taken for more than it is, as before 0.20.1+1."""
    found = []
    for polarity in map(textblob.polarity_of, texts):
        p = polarity or 0.0
        label = "neutral" if abs(p) <= 0.1 else "positive" if p > 0 else "negative"
        sure = 1.0 - abs(p) if label == "neutral" else (1.0 + abs(p)) / 2.0
        found.append(Opinion(label, 0.0 if polarity is None else sure, p))
    return found


def _judge(judges: dict[str, Ask], rows: Labelled) -> list[Judged]:
    texts = [text for text, _ in rows]
    two = all(label != "neutral" for _, label in rows)
    said = {who: ask(texts) for who, ask in judges.items()}
    return [
        Judged(data.key(text) or text, len(text.split()), label, two,
               {who: opinions[n] for who, opinions in said.items()})
        for n, (text, label) in enumerate(rows)
    ]  # fmt: skip


def _found(name: str, judged: Sequence[Judged], who: str) -> dict[str, Any]:
    """How much of each label is found."""
    what = "labelled English tweets"
    found: dict[str, Any] = {"name": name, "what": what, "texts": len(judged)}
    for label in NAMES:
        of_label = [j.said[who].label == label for j in judged if j.expected == label]
        found[label] = round(sum(of_label) / len(of_label), 4)
    return found


# -- the sets ------------------------------------------------------------------------------


def _lines(name: str) -> list[str]:
    return (LABELLED / name).read_text("utf-8").split("\n")


def _sst2() -> Labelled:
    rows = [line.rsplit("\t", 1) for line in _lines("sst2_dev.tsv")[1:] if line]
    return [(text, NAMES[2 * int(label)]) for text, label in rows]


def sst_fine(part: str) -> Labelled:
    classes = ("negative", "negative", "neutral", "positive", "positive")
    return [(line[2:], classes[int(line[0])]) for line in _lines(f"sst_fine_{part}.txt") if line]


def _uci(name: str) -> Labelled:
    rows = [line.rsplit("\t", 1) for line in _lines(f"uci_{name}.txt") if "\t" in line]
    return [(text, NAMES[2 * int(label)]) for text, label in rows]


def _trained_on() -> set[str]:
    """Keys of every text that a training has seen, by the training's own account."""
    every = [
        *data.training(LABELLED, data.development(LABELLED)),
        *data.sst2_rows(LABELLED / "sst2_train.tsv"),
    ]
    tweets = map(data.tidy, _lines("xlmt/train_text.txt"))
    return {data.key(row.text) for row in every} | {data.key(tweet) for tweet in tweets}


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
    "SST fine, folded to three classes": lambda: sst_fine("dev"),
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
    heads = " | ".join(f"{who} right" for who in SHOWN)
    lines = [f"| {what} | texts | {heads} |", "|---|---|" + "---|" * len(SHOWN)]
    for name, judged in groups.items():
        if judged:
            shares = " | ".join(_share([j.is_right(who) for j in judged]) for who in SHOWN)
            lines.append(f"| {name} | {len(judged):,} | {shares} |")
    return "\n".join(lines)


def _calibration(groups: dict[str, list[Judged]]) -> str:
    lines = [
        f"| three classes | texts | sure | right | before | after | English | {OLD_BLOB} | after |",
        "|---" * 9 + "|",
    ]
    every = (PLAIN, MODEL, SMALL, OLD_BLOB, BLOB)
    for name, judged in groups.items():
        errors = " | ".join(f"{_error(judged, who):.3f}" for who in every)
        sure = sum(j.said[MODEL].score for j in judged) / len(judged)
        right = sum(j.is_right(MODEL) for j in judged) / len(judged)
        lines.append(f"| {name} | {len(judged):,} | {sure:.1%} | {right:.1%} | {errors} |")
    return "\n".join(lines)


def _checklist(judges: dict[str, Ask]) -> str:
    lines = [
        "| capability | texts | " + " | ".join(SHOWN) + " |",
        "|---|---|" + "---|" * len(SHOWN),
    ]
    for name, cases in checklist.CAPABILITIES.items():
        rows = list(cases())
        judged = [j._replace(two_classes=False) for j in _judge(judges, rows)]
        shares = (f"{sum(j.is_right(who) for j in judged) / len(rows):.0%}" for who in SHOWN)
        lines.append(f"| {name} | {len(rows)} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _error(judged: Sequence[Judged], who: str) -> float:
    """Of the texts of which they can say something."""
    judged = [j for j in judged if j.said[who].score]
    if not judged:
        return math.nan
    return sum(
        len(found) / len(judged) * abs(sure - right) for sure, right, found in _bins(judged, who)
    )


def _bins(judged: Sequence[Judged], who: str) -> Iterable[tuple[float, float, list[Judged]]]:
    """(mean confidence, accuracy, texts) of each bin that has any."""
    of_bin: dict[int, list[Judged]] = {}
    for j in judged:
        of_bin.setdefault(min(BINS - 1, int(j.said[who].score * BINS)), []).append(j)
    for _, found in sorted(of_bin.items()):
        sure = sum(j.said[who].score for j in found) / len(found)
        yield sure, sum(j.is_right(who) for j in found) / len(found), found


def _diagram(judged: Sequence[Judged]) -> str:
    """Reliability: how sure, and how often right; a perfect model is on the diagonal."""
    rows = [
        {"sure": sure, "right": right, "texts": len(found), "who": name}
        for who, name in ((PLAIN, "before"), (MODEL, "after"))
        for sure, right, found in _bins(judged, who)
    ]
    axis = alt.Scale(domain=[0.3, 1])
    base = alt.Chart(alt.Data(values=rows)).encode(  # type: ignore[no-untyped-call]
        x=alt.X("sure:Q", title="how sure it says it is", scale=axis),
        y=alt.Y("right:Q", title="how often it is right", scale=axis),
        color=alt.Color(
            "who:N", title=None,
            scale=alt.Scale(domain=["before", "after"], range=[LIGHT.neutral, LIGHT.positive]),
        ),
    )  # fmt: skip
    ends = alt.Data(values=[{"sure": 0.3, "right": 0.3}, {"sure": 1, "right": 1}])  # type: ignore[no-untyped-call]
    perfect = (
        alt.Chart(ends)
        .mark_line(strokeDash=[3, 3], color=LIGHT.ink)
        .encode(x="sure:Q", y="right:Q")
    )
    chart = alt.layer(perfect, base.mark_line(), base.mark_point(filled=True))
    return drawing.svg(
        chart.properties(width=320, height=320, title="Tweets in seven languages"), LIGHT
    )


def _share(hits: Iterable[bool]) -> str:
    found = list(hits)
    share = review.wilson(sum(found), len(found))
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def _confusion(judged: Sequence[Judged]) -> str:
    counts = Counter((j.expected, j.said[MODEL].label) for j in judged)
    lines = ["| | " + " | ".join(NAMES) + " | found |", "|---" * (len(NAMES) + 2) + "|"]
    for expected in NAMES:
        row = [counts[expected, said] for said in NAMES]
        found = _share([j.is_right(MODEL) for j in judged if j.expected == expected])
        lines.append(f"| **{expected}** | {' | '.join(map(str, row))} | {found} |")
    return "\n".join(lines)


# -- people's review -----------------------------------------------------------------------


def _reviewed(ask: Ask) -> str:
    with AIRLINES.open(encoding="utf-8", newline="") as file:
        rows = {row["tweet_id"]: row for row in csv.DictReader(file)}.values()
    said = [opinion.label for opinion in ask([row["text"] for row in rows])]
    people = [row["sentiment"] for row in rows]
    pairs = list(zip(said, people, strict=True))
    population, truth = Counter(said), Counter(people)
    lines = [
        OF_REVIEW.format(count=len(pairs)),
        "",
        "| judged at random | samples | "
        + " | ".join(f"{name} held" for name in NAMES)
        + " | all | negative: as the model counts | as people do | interval, on average |",
        "|---" * 9 + "|",
    ]
    draw = random.Random(0)
    for size in (50, 100, 200):
        held, width = Counter[str](), 0.0
        for _ in range(SAMPLES):
            for found in review.corrected(population, Counter(draw.sample(pairs, size))):
                share = found.corrected
                held[found.label] += share.low <= truth[found.label] / len(pairs) <= share.high
                width += (share.high - share.low) * (found.label == "negative")
        shares = [f"{held[name] / SAMPLES:.0%}" for name in NAMES]
        shares.append(f"{held.total() / SAMPLES / len(NAMES):.1%}")
        counts = [f"{count['negative'] / len(pairs):.0%}" for count in (population, truth)]
        lines.append(
            f"| {size} | {SAMPLES} | {' | '.join((*shares, *counts))} |"
            f" ± {50 * width / SAMPLES:.0f} points |"
        )
    return "\n".join(lines)


# -- languages -----------------------------------------------------------------------------


def _detection() -> str:
    found = detector()
    if found is None:
        return "Not measured: its packages are not installed."
    draw = random.Random(0)
    lines = [
        "| | texts | unsure | of the sure: right | a supported one taken for another kind | each |",
        "|---|---|---|---|---|---|",
    ]
    for name, of in (("whole tweets", _cleaned), ("1 to 5 words", lambda t: _few(t, draw))):
        # Most of the Hindi ones are in Latin letters, which no detector here tells.
        rows = [
            (of(text), code)
            for language, code in zip(LANGUAGES, CODES, strict=True)
            if language != "Hindi"
            for text, _ in _language(language)
        ]
        lines.append(f"| {name} | {_detected(found, [row for row in rows if row[0]])} |")
    return "\n".join(lines)


def _detected(found: Detector, rows: Sequence[tuple[str, str]]) -> str:
    started = time.perf_counter()
    said = [(found.language_of(text), code) for text, code in rows]
    each = (time.perf_counter() - started) / len(rows)
    sure = [(language, code) for language, code in said if language is not None]
    right = sum(language == code for language, code in sure) / len(sure)
    reads = Model(EMBEDDED).languages
    lost = sum(language not in reads for language, _ in sure) / len(rows)
    unsure = 1 - len(sure) / len(rows)
    return f"{len(rows):,} | {unsure:.1%} | {right:.1%} | {lost:.1%} | {each * 1e6:.0f} µs"


def _cleaned(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"https?\S*|@\w+|#|\bRT\b", " ", text)).strip()


def _few(text: str, draw: random.Random) -> str:
    words = _cleaned(text).split()
    count = draw.randint(1, 5)
    start = draw.randint(0, max(0, len(words) - count))
    return " ".join(words[start : start + count])


def _of_length(judged: Iterable[Judged], span: tuple[int, int]) -> list[Judged]:
    return [j for j in judged if span[0] <= j.words <= span[1]]


def _as_sure(judged: Iterable[Judged], band: tuple[float, float]) -> list[Judged]:
    return [j for j in judged if band[0] <= j.said[MODEL].score < band[1]]


def _span(span: tuple[int, int]) -> str:
    return f"{span[0]} to {span[1]}" if span[1] < 10_000 else f"{span[0]} and more"


def _band(band: tuple[float, float]) -> str:
    return f"{band[0]:g} to {min(band[1], 1):g}"


if __name__ == "__main__":
    main()
