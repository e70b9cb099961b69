"""A look at a source before it is one: what would be read, without storing it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from worker import cost
from worker.cost import UNMEASURED, Estimate, Prices
from worker.ports import AcknowledgedSource, CostlyToRead, Source
from worker.records import Page, Record, Refusal

SHOWN = 10
MOST_ROWS = 50_000
MOST_S = 20.0
"""A large source is looked at so far, and no further."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """What an estimate is made with."""

    prices: Prices
    concurrency: int
    chunk_texts: int

    def of(self, texts: int) -> Estimate:
        calls = -(-texts // self.chunk_texts)
        return cost.estimate(
            texts, calls, pace=UNMEASURED, prices=self.prices, concurrency=self.concurrency
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What was seen."""

    estimate: Estimate
    """Of the first full run."""
    records: int = 0
    without_text: int = 0
    repeated: int = 0
    """Rows with the id of an earlier one."""
    refused: int = 0
    is_whole: bool = False
    """Was all of it read? Else the numbers are of what was."""
    about: int | None = None
    """How many records all of it has, if that can be told from its size."""
    sample: Sequence[Record] = ()
    refusals: Sequence[Refusal] = ()
    chosen: Mapping[str, str] = field(default_factory=dict)
    """The columns of id and text, by these names, where all files have the same."""
    reading_costs: bool = False
    """Does reading it cost something that the estimate has not got?"""
    waiting: str = ""
    """Of a queue, which is not read: it says only how much waits."""


def preview(
    source: Source, pricing: Pricing, *, most_rows: int = MOST_ROWS, most_s: float = MOST_S
) -> Preview:
    """Read the beginning of a source. Raises as its `pages` do."""
    if isinstance(source, AcknowledgedSource):
        return Preview(pricing.of(0), waiting=source.backlog())
    ends_at = time.monotonic() + most_s
    seen, is_whole = _Seen(), True
    for page in source.pages({}):
        # What was read first is shown, however long that took.
        if seen.records >= most_rows or (seen.records and time.monotonic() > ends_at):
            is_whole = False
            break
        seen.add(page)
    size = None if is_whole else source.size()
    about = round(seen.records * size / seen.bytes_read) if size and seen.bytes_read else None
    whole = about / seen.records if about and seen.records else 1.0
    return Preview(
        pricing.of(round(len(seen.texts) * whole)),
        seen.records,
        seen.without_text,
        seen.records - len(seen.ids),
        seen.refused,
        is_whole,
        about,
        seen.sample,
        seen.refusals,
        {key: min(found) for key, found in seen.chosen.items() if len(found) == 1},
        reading_costs=isinstance(source, CostlyToRead),
    )


class _Seen:
    """Pages, added up."""

    def __init__(self) -> None:
        self.records = self.without_text = self.refused = self.bytes_read = 0
        self.ids: set[str] = set()
        self.texts: set[bytes] = set()
        self.sample: list[Record] = []
        self.refusals: list[Refusal] = []
        self.chosen: dict[str, set[str]] = {}

    def add(self, page: Page) -> None:
        scored = [record for record in page.records if record.skip_reason is None]
        self.ids.update(record.external_id for record in page.records)
        self.texts.update(record.content_hash for record in scored)
        self.without_text += len(page.records) - len(scored)
        self.records += len(page.records)
        self.refused += len(page.refusals)
        self.bytes_read += page.bytes_read
        self.sample += islice(page.records, SHOWN - len(self.sample))
        self.refusals += islice(page.refusals, SHOWN - len(self.refusals))
        for key, value in (page.identity or {}).items():
            if key in ("id", "text"):
                self.chosen.setdefault(key, set()).add(value)
