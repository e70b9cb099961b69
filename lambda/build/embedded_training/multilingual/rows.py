"""Labelled sets in eight languages and texts of our own -> rows.jsonl (training) and dev.jsonl.

No development text is trained on, and no text twice before the tweets are repeated.

    python rows.py --data LABELLED --out work
"""

from __future__ import annotations

import argparse
import html
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import phrases

sys.path.append(str(Path(__file__).parents[1]))
import data as english
from data import NEUTRAL, POSITIVE, Row

LANGUAGES = "ar en fr de hi it pt es".split()
"""The order of XLM-T's validation texts. Its training texts are shuffled."""

AT_MOST = {
    ("goemotions", NEUTRAL): 11_000, ("goemotions", POSITIVE): 10_000,
    ("sst2", 0): 6_500, ("sst2", POSITIVE): 6_500,
}  # fmt: skip
PHRASES = 18_000
REVIEWS = 2_500
REPEATED = {"xlmt": 2, "tweeteval": 2}

PROBES = (
    "I love this!", "This is terrible", "The invoice is due on Tuesday.", "Not bad at all.",
    "yeah great, another delay",
)  # fmt: skip
"""What the model is tried with by hand: kept out of training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled sets")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    dev = development(options.data)
    for name, rows in (("rows", training(options.data, dev)), ("dev", dev)):
        with open(options.out / f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row._asdict()) + "\n" for row in rows)
        print(name, len(rows), [sum(r.label == label for r in rows) for label in range(3)])


def training(data: Path, dev: Iterable[Row]) -> list[Row]:
    draw = random.Random(0)
    known = {key(row.text) or row.text for row in dev} | {key(text) for text in PROBES}
    seen: set[str] = set()
    rows: list[Row] = []
    for row in _everything(data, draw):
        mark = key(row.text)
        # Emoji alone have no key; our own texts differ by their capitals and signs.
        exact = row.text if row.set.startswith("own") or not mark else mark
        if mark not in known and exact not in seen:
            seen.add(exact)
            rows.append(row)
    draw.shuffle(rows)
    return list(_thinned(rows))


def _everything(data: Path, draw: random.Random) -> Iterator[Row]:
    yield from tweets(data, "train")
    yield from tweeteval(data)[0]
    yield from goemotions(data, "train", draw)
    for row in english.fine_rows(data / "sst_fine_train.txt"):
        yield english.respaced(row, draw)
    phrases_of_sst2 = [r for r in sst2(data / "sst2_train.tsv") if len(r.text.split()) >= 3]
    draw.shuffle(phrases_of_sst2)
    yield from (english.respaced(row, draw) for row in phrases_of_sst2[:PHRASES])
    yield from reviews(data, draw)
    for name, kind in phrases.KINDS.items():
        yield from (Row(text, label, name) for text, label in kind(random.Random(0)))


def development(data: Path) -> list[Row]:
    rows = [*tweets(data, "val"), *tweeteval(data)[1], *sst2(data / "sst2_dev.tsv")]
    rows += english.fine_rows(data / "sst_fine_dev.txt")
    rows += goemotions(data, "dev", random.Random(0))
    return [*rows, *uci(data, "amazon"), *uci(data, "yelp")]


def tweets(data: Path, part: str) -> Iterator[Row]:
    found = _labelled(data / f"xlmt/{part}_text.txt", data / f"xlmt/{part}_labels.txt")
    for number, (text, label) in enumerate(found):
        language = LANGUAGES[number * len(LANGUAGES) // len(found)]
        yield Row(text, label, f"xlmt {language}" if part == "val" else "xlmt")


def tweeteval(data: Path) -> tuple[list[Row], list[Row]]:
    """(training half, development half) of its validation texts."""
    rows = _labelled(data / "tweeteval_val_text.txt", data / "tweeteval_val_labels.txt")
    order = list(range(len(rows)))
    random.Random(1).shuffle(order)
    known = {english.key(row.text) for row in tweets(data, "val") if row.set == "xlmt en"}
    order.sort(key=lambda n: english.key(rows[n][0]) in known)
    named = [Row(*rows[n], "tweeteval") for n in order]
    return named[: len(rows) // 2], named[len(rows) // 2 :]


def sst2(file: Path) -> Iterator[Row]:
    for line in _lines(file)[1:]:
        if line:
            text, label = line.rsplit("\t", 1)
            yield Row(text.strip(), POSITIVE * int(label), "sst2")


def goemotions(data: Path, part: str, draw: random.Random) -> Iterator[Row]:
    for row in english.goemotions_rows(data, part, draw):
        yield row._replace(text=tidy(row.text))


def reviews(data: Path, draw: random.Random) -> Iterator[Row]:
    """Pieces of film reviews: shorter ones than the English model's."""
    rows = english.reviews_read(data)
    draw.shuffle(rows)
    for number, (text, label) in enumerate(rows[:REVIEWS]):
        words = tidy(text).split()
        if number % 3 == 0:
            words = words[:70]
        elif number % 3 == 1:
            words = words[-draw.randint(30, 70) :]
        else:
            sentences = re.split(r"(?<=[.!?])\s+", tidy(text))
            words = " ".join([sentences[0], *sentences[-2:]]).split()[:70]
        yield Row(" ".join(words), POSITIVE * label, "imdb")


def uci(data: Path, name: str) -> Iterator[Row]:
    for line in _lines(data / f"uci_{name}.txt"):
        if line.strip():
            text, label = line.rsplit("\t", 1)
            yield Row(text.strip(), POSITIVE * int(label), f"uci {name}")


def tidy(text: str) -> str:
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    text = html.unescape(text).replace('""', '"').replace('\\"', '"')
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return re.sub(r"\s+", " ", re.sub(r"<br\s*/?>", " ", text)).strip()


def key(text: str) -> str:
    """What makes two texts the same: letters, marks and digits of any script, without users and
    links."""
    kept = re.sub(r"@?\buser\b|http\S*", "", text.lower())
    return "".join(c for c in kept if c.isalnum() or "\u0900" <= c <= "\u097f")


def _labelled(texts: Path, labels: Path) -> list[tuple[str, int]]:
    pairs = zip(_lines(texts), _lines(labels), strict=True)
    return [(tidy(t), int(y)) for t, y in pairs if t.strip() and y.strip()]


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").split("\n")


def _thinned(rows: Iterable[Row]) -> Iterator[Row]:
    left = dict(AT_MOST)
    for row in rows:
        kind = (row.set, row.label)
        if kind in left:
            if not left[kind]:
                continue
            left[kind] -= 1
        yield from [row] * REPEATED.get(row.set, 1)


if __name__ == "__main__":
    main()
