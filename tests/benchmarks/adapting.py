"""`model adapt` on tweets about airlines, whose labels people gave; written into docs/trust.md.

    make adapt          (two minutes; needs the labelled sets beside the checkout)

For each size so many labels are drawn, five times, and the model before and after is judged on the
same other 3,000 tweets; on sets of other kinds it is to lose nothing.
"""

from __future__ import annotations

import csv
import random
import sys
import textwrap
from collections.abc import Callable, Sequence

import numpy as np
from sentiment_function.model import EMBEDDED, Model

from tests.benchmarks import trust
from worker.insight import adapting
from worker.insight.adapting import Correction, Said

SIZES = (100, 250, 500, 1_000)
DRAWS = 5
REST = 3_000
BEGIN, END = "<!-- adapted -->", "<!-- /adapted -->"

OTHERS: dict[str, Callable[[], trust.Labelled]] = {
    "film sentences": lambda: trust.sst_fine("dev"),
    "English tweets": lambda: trust._language("English"),
    "German tweets": lambda: trust._language("German"),
    "product reviews": lambda: trust._vader("amazonReviewSnippets")[:1_500],
}

ABOUT = (
    "`model adapt` on tweets about airlines that people have labelled, on average over {draws}"
    " draws of so many labels: right on {rest:,} other tweets of that kind (three classes), and"
    " points that sets of other kinds gain. p is McNemar's, of the corrections alone, at its"
    " largest:"
)


def main() -> None:
    if not trust.LABELLED.is_dir():
        sys.exit(f"The labelled sets are not at {trust.LABELLED}.")
    model = Model(EMBEDDED)
    with trust.AIRLINES.open(encoding="utf-8", newline="") as file:
        rows = list({row["tweet_id"]: row for row in csv.DictReader(file)}.values())
    random.Random(0).shuffle(rows)
    rows = rows[: max(SIZES) * 2 + REST]
    tweets = [(row["text"], row["sentiment"]) for row in rows]
    said, people = _said(model, tweets)
    rest = slice(max(SIZES) * 2, None)
    others = {name: _said(model, ask()) for name, ask in OTHERS.items()}
    anchor, _ = _said(model, [(text, "neutral") for text in adapting.anchors()])
    lines = [
        textwrap.fill(ABOUT.format(draws=DRAWS, rest=REST), trust.WIDTH),
        "",
        "| labels | right before | after | points | p | "
        + " | ".join(f"{name}, {len(labels):,}" for name, (_, labels) in others.items())
        + " |",
        "|---" * (5 + len(others)) + "|",
    ]
    for size in SIZES:
        gains, changes, worst = [], {name: list[float]() for name in others}, 0.0
        for seed in range(DRAWS):
            drawn = random.Random(seed).sample(range(max(SIZES) * 2), size)
            found = adapting.adapt(said.of(drawn), people[drawn].tolist(), anchor)
            worst = max(worst, found.p_value)
            gains.append(_gain(found.correction, said.of(rest), people[rest]))
            for name, (texts, labels) in others.items():
                changes[name].append(_gain(found.correction, texts, labels))
        before = float((said.of(rest).logits.argmax(1) == people[rest]).mean())
        gain = float(np.mean(gains))
        moved = " | ".join(f"{100 * np.mean(each):+.1f}" for each in changes.values())
        lines.append(
            f"| {size:,} | {before:.1%} | {before + gain:.1%} | {100 * gain:+.1f}"
            f" ({100 * min(gains):+.1f} to {100 * max(gains):+.1f}) | {worst:.1g} | {moved} |"
        )
        print(lines[-1], flush=True)
    _write("\n".join(lines))


def _said(model: Model, rows: trust.Labelled) -> tuple[Said, np.ndarray]:
    found = model.features([text for text, _ in rows])
    pooled = np.array([each.pooled for each in found])
    logits = np.array([each.logits for each in found])
    return Said(pooled, logits), np.array([trust.NAMES.index(label) for _, label in rows])


def _gain(correction: Correction, said: Said, people: Sequence[int] | np.ndarray) -> float:
    after = (correction.logits(said).argmax(1) == people).mean()
    return float(after - (said.logits.argmax(1) == people).mean())


def _write(table: str) -> None:
    head, _, rest = trust.PAGE.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    trust.PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
