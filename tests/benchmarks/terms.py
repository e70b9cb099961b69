"""Terms: how long 50,000 records take, and what the airline tweets say.

    python -m tests.benchmarks.terms     (half a minute; needs the real data)

The tweets are labelled by people. For the time they are gone through three times and a half, each
time with other handles, so that no text is the same; reading them from a database is not counted.
"""

from __future__ import annotations

import csv
import resource
import time
from collections.abc import Iterator

from tests.conftest import DATA
from worker.insight.terms import Said, Terms, distinctive

RECORDS = 50_000


def main() -> None:
    print(__doc__)
    with open(DATA / "ingest" / "airline_tweets.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    began = time.perf_counter()
    distinctive(_many(rows))
    took_s = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{RECORDS:,} records in {took_s:.2f} s (wanted: 2); {peak:,.0f} MB at most\n")
    _show("negative", distinctive(_said(rows, "sentiment", "negative"), most=10))
    negative = [row for row in rows if row["sentiment"] == "negative"]
    for airline in ("US Airways", "United", "Delta"):
        found = distinctive(_said(negative, "airline", airline), names=[airline], most=10)
        _show(f"{airline}, negative, against the other airlines", found)


def _said(rows: list[dict[str, str]], column: str, value: str) -> Iterator[Said]:
    for number, row in enumerate(rows):
        yield Said(number, row["text"], row[column] == value, None)


def _many(rows: list[dict[str, str]]) -> Iterator[Said]:
    for number in range(RECORDS):
        row = rows[number % len(rows)]
        text = f"@u{number} {row['text']}"
        yield Said(number, text, row["sentiment"] == "negative", None)


def _show(what: str, found: Terms) -> None:
    print(f"{what}: {found.group:,} records, {found.comparison:,} others")
    for term in found.terms:
        shares = f"{term.share:6.1%} {term.share_elsewhere:6.1%}"
        print(f"  {term.z:5.1f}  {term.records:5,}  {shares}  {term.term}")


if __name__ == "__main__":
    main()
