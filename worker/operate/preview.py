"""A look at a source before it is one: what would be read, without storing it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from worker import cost
from worker.cost import UNMEASURED, Estimate, Prices
from worker.ports import AcknowledgedSource, Source
from worker.records import Record, Refusal

SHOWN = 10
MOST_ROWS = 50_000
MOST_S = 20.0
"""A large source is looked at so far, and no further."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What was seen."""

    records: int
    without_text: int
    repeated: int
    """Rows with the id of an earlier one."""
    refused: int
    is_whole: bool
    """Was all of it read? Else the numbers are of what was."""
    about: int | None
    """How many records all of it has, if that can be told from its size."""
    sample: Sequence[Record]
    refusals: Sequence[Refusal]
    estimate: Estimate
    """Of the first full run."""
    chosen: Mapping[str, str]
    """The columns of id and text, by these names, where all files have the same."""
    waiting: str = ""
    """Of a queue, which is not read: it says only how much waits."""


def preview(
    source: Source,
    *,
    prices: Prices,
    concurrency: int,
    chunk_texts: int,
    most_rows: int = MOST_ROWS,
    most_s: float = MOST_S,
) -> Preview:
    """Read the beginning of a source. Raises as its `pages` do."""
    if isinstance(source, AcknowledgedSource):
        nothing = cost.estimate(0, 0, pace=UNMEASURED, prices=prices, concurrency=1)
        return Preview(0, 0, 0, 0, False, None, (), (), nothing, {}, source.backlog())
    ends_at = time.monotonic() + most_s
    ids: set[str] = set()
    texts: set[bytes] = set()
    sample: list[Record] = []
    refusals: list[Refusal] = []
    records = without_text = refused = bytes_read = 0
    is_whole, chosen = True, dict[str, set[str]]()
    for page in source.pages({}):
        if records >= most_rows or time.monotonic() > ends_at:
            is_whole = False
            break
        for record in page.records:
            ids.add(record.external_id)
            without_text += record.skip_reason is not None
            if record.skip_reason is None:
                texts.add(record.content_hash)
        of = page.identity or {}
        for key in ("id", "text"):
            if key in of:
                chosen.setdefault(key, set()).add(of[key])
        records += len(page.records)
        refused += len(page.refusals)
        bytes_read += page.bytes_read
        sample += islice(page.records, SHOWN - len(sample))
        refusals += islice(page.refusals, SHOWN - len(refusals))
    size = None if is_whole else source.size()
    about = round(records * size / bytes_read) if size and bytes_read else None
    total = len(texts) if is_whole or not about else round(len(texts) * about / max(1, records))
    estimate = cost.estimate(
        total,
        -(-total // chunk_texts),
        pace=UNMEASURED,
        prices=prices,
        concurrency=concurrency,
    )
    return Preview(
        records=records,
        without_text=without_text,
        repeated=records - len(ids),
        refused=refused,
        is_whole=is_whole,
        about=about,
        sample=sample,
        refusals=refusals,
        estimate=estimate,
        chosen={key: min(found) for key, found in chosen.items() if len(found) == 1},
    )
