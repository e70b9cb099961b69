"""What an assistant is told, typed: the schema of each answer is made of these."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from worker.insight import wording
from worker.store.analytics.scores import Row
from worker.store.analytics.tallies import Day, Tally

MAX_TEXT = 500
"""Characters of a record's text."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Quoted(_Answer):
    record_id: int
    """For drill_down."""
    source: str
    when: str
    label: str | None
    polarity: float | None
    provisional: bool
    untrusted_text: str


class Found(_Answer):
    records: list[Quoted]
    truncated: bool
    looked_at_newest: int | None
    """Only so many newest records of those that match were looked at; None: all of them."""


class Trend(_Answer):
    since: date
    until: date
    total: Tally
    before: Tally
    """Of as many days, just before."""
    days: list[Day]


class Compared(_Answer):
    untrusted_name: str
    """The source's, or the value of a tag as the source's column has it."""
    counted: Tally


class Comparison(_Answer):
    since: date
    until: date
    by: str | None
    groups: list[Compared]
    """Those with most negative records first. Of fewer than 30 a share is mostly chance."""
    other_tags: list[str]
    """What else to compare by."""


class Mover(_Answer):
    tag: str | None
    """None: the group is a source."""
    untrusted_name: str
    moved: float
    """Its part of the change of net polarity."""
    now: Tally
    before: Tally
    records: list[Quoted]


class SaidMore(_Answer):
    untrusted_term: str
    records: int
    share: float
    """Of the group's records, from 0 to 1."""
    share_elsewhere: float
    """Of the records that it is compared with."""
    z: float
    """How clearly: in standard errors."""
    for_example: list[int]
    """Ids of records, for drill_down."""


class Terms(_Answer):
    verdict: str
    """What was compared with what, and how many records there were."""
    terms: list[SaidMore]


class Explanation(_Answer):
    verdict: str
    day: Tally
    day_before: Tally
    movers: list[Mover]
    lowest: list[Quoted]
    """The most negative records of the day."""
    cautions: list[str]


class Score(_Answer):
    when: str
    said_by: str
    label: str
    polarity: float
    provisional: bool
    fallback_reason: str | None
    of_present_text: bool


class Whole(_Answer):
    record: Quoted
    scores: list[Score]
    """Every score that it ever had, the newest first."""
    earlier: list[str]
    """When it was rewritten at its source."""
    corrections: list[str]
    """What people said of it."""


def quoted(row: Row) -> Quoted:
    return Quoted(
        record_id=row["record_id"],
        source=row["source"],
        when=f"{row['moment']:%Y-%m-%d %H:%M}",
        label=row["label"],
        polarity=row["polarity"],
        provisional=bool(row["provisional"]),
        untrusted_text=wording.brief(row["text"], MAX_TEXT),
    )
