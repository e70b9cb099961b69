"""The values that travel between the stages. All are immutable.

What exists once a record is a NamedTuple (a third of a dataclass's cost to make, and a run
makes tens of thousands a second); what exists once a chunk is a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

Position = Mapping[str, Any]
"""Where a source stands in one partition: JSON, understood by that source alone."""

IDENTITY, BEFORE = "identity", "before"
"""In what a source is told of where it stands: how it was read, and where it stood before it was
put back to its beginning."""


class Record(NamedTuple):
    """One record of a source, cleaned and ready to be stored."""

    external_id: str
    text: str
    """As it is stored: valid Unicode without NUL. Markup is kept."""
    content_hash: bytes
    """16 bytes of BLAKE2b over `text`; a score belongs to (record, content_hash, scorer)."""
    published_at: datetime | None = None
    """Aware, as the source says it."""
    author: str | None = None
    language: str | None = None
    tags: Mapping[str, str] | None = None
    flags: tuple[str, ...] = ()
    """What cleaning did to the text: see `worker.clean`."""
    skip_reason: str | None = None
    """Set when there is nothing to score; such a record is never sent."""
    original_hash: bytes | None = None
    """Hash of the text as received, when cleaning changed it."""


class Refusal(NamedTuple):
    """A row that could not become a record; it goes to quarantine."""

    offset: str
    """Where it stands, for a person: "line 17", "row 3"."""
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Some consecutive rows of one partition and the cursor behind them: one transaction."""

    partition: str
    position: Position
    records: Sequence[Record]
    refusals: Sequence[Refusal] = ()
    bytes_read: int = 0
    identity: Mapping[str, str] | None = None
    """By which rule ids are made, and of which column the text is: kept with the cursor, and never
    changed under it."""
    reading: str = ""
    """One pass over the partition from its beginning, however many runs it takes: a name that the
    position carries along."""
    complete: bool = False
    """The partition's end for now: what only an earlier reading refused was repaired."""
    gone: Sequence[str] = ()
    """Ids of records that the source has no more."""
    keep_newer: bool = False
    """A stored record with a later time stays as it is: these came in any order."""


@dataclass(frozen=True, slots=True)
class Redrive:
    """What a run should try again: partitions to read anew, records to score anew."""

    partitions: frozenset[str] = frozenset()
    record_ids: tuple[int, ...] = ()


NOTHING_AGAIN = Redrive()

SCHEDULE = 0
"""The lane of scheduled work."""


class LaneKind(StrEnum):
    SCHEDULE = "schedule"
    BACKFILL = "backfill"


class Lane(NamedTuple):
    """Whose work: a source's scheduled work, or one backfill's. Lanes do not take each other's
    chunks, and have their own locks and runs."""

    source_id: int
    backfill_id: int = SCHEDULE

    @property
    def is_backfill(self) -> bool:
        return self.backfill_id != SCHEDULE

    @property
    def kind(self) -> LaneKind:
        return LaneKind.BACKFILL if self.is_backfill else LaneKind.SCHEDULE


class Member(NamedTuple):
    """A record, in the revision that a chunk wants scored."""

    record_id: int
    content_hash: bytes


class Item(NamedTuple):
    """One distinct text of a chunk and every record that holds it; it is sent once."""

    text: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """The texts of one invocation, with what has happened to them so far."""

    id: int
    lane: Lane
    items: tuple[Item, ...]
    root_id: int
    """The chunk that this one was split from, at the top; its own id if never split."""
    attempts: int = 0
    """Attempts used; a throttle uses none."""
    last_reason: str | None = None
    repeats: int = 0
    """How many times in a row `last_reason` was the outcome, its ancestors' included."""
    parked: bool = False
    """True once its records were left to wait for the Lambda (with a provisional score or not)."""
    provisional: bool = False
    """True once TextBlob was asked; it may have had nothing to say."""
    age_s: float = 0.0
    """Seconds since its records arrived, by the database's clock."""
    superseded: int = 0
    """Of its records, those that were rewritten since it was cut: not in `items` any more."""

    @property
    def record_count(self) -> int:
        return sum(len(item.members) for item in self.items)


@dataclass(frozen=True, slots=True)
class Lease:
    """A chunk in hand, under the fencing token that claimed it."""

    chunk: Chunk
    fence: int


class Opinion(NamedTuple):
    """What a scorer says of one text."""

    label: str
    score: float
    """The probability of `label`, in [0, 1]."""
    polarity: float
    """From -1 (negative) to 1 (positive): the expected value over the labels."""
    language: str | None = None
    """Of the text, as it was detected: an ISO 639 code; None where that is unsure."""


@dataclass(frozen=True, slots=True)
class ScorerId:
    """Who said it: scores of different scorers never overwrite each other."""

    provider: str
    """"lambda" or "textblob"."""
    model: str
    version: str
    languages: tuple[str, ...] = field(default=(), compare=False)
    """Codes of those that it reads; none where that is not known."""


class Bill(NamedTuple):
    """What a call costs, by Lambda's own report line, or at most."""

    milliseconds: int
    memory_mb: int
    reported: bool = True
    """By Lambda itself. Else it is an upper bound: the time that the call took, or might have."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified answer: one opinion an item, in order; None where the scorer cannot say."""

    scorer: ScorerId
    opinions: Sequence[Opinion | None]
    duration_s: float = 0.0
    bill: Bill | None = None


class FailureKind(StrEnum):
    """What a failure means for the caller; `worker.pipeline.policy` decides on nothing else."""

    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    MISCONFIGURED = "misconfigured"
    TOO_LARGE = "too_large"
    REJECTED = "rejected"
    """The function answered, and the answer cannot be used."""
    CIRCUIT_OPEN = "circuit_open"
    """Nothing was sent."""


class Reach(StrEnum):
    """How far an attempt came."""

    NOT_SENT = "not sent"
    """No connection, or no client to make one: nothing left this machine."""
    UNKNOWN = "unknown"
    """It was sent, and no answer came: the function may have run, and is billed if it did."""
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt without a usable answer."""

    kind: FailureKind
    code: str
    """Short and stable, for metrics and for telling two failures the same."""
    message: str = ""
    """For a person. Never a record's text, never a secret."""
    retry_after_s: float | None = None
    bill: Bill | None = None
    """A function that fails is billed too."""
    reach: Reach = Reach.ANSWERED


Outcome = Answer | Failure


class SettlementKind(StrEnum):
    DONE = "done"
    RETRY = "retry"
    SPLIT = "split"
    PARK = "park"
    DEAD = "dead"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a lease: written in one transaction, refused if the fence moved."""

    lease: Lease
    kind: SettlementKind
    scores: Sequence[tuple[Member, Opinion]] = ()
    scorer: ScorerId | None = None
    """Who gave the scores; None if there are none."""
    fallback_reason: str | None = None
    """Set for provisional scores: why the model did not speak."""
    undecided: int = 0
    """Records that the scorer could say nothing about."""
    after_s: float = 0.0
    """When the chunk may be claimed again, from now by the database's clock."""
    attempts: int = 0
    reason: str | None = None
    repeats: int = 0
    parts: Sequence[tuple[Item, ...]] = ()
    """The children of a split."""
    calls: Mapping[str, int] = field(default_factory=dict)
    """What the attempt cost, by the name of the run's counter."""


class Pending(NamedTuple):
    """What is still open of a source; parked work waits for the Lambda."""

    records: int
    parked_records: int
    active_chunks: int
    """Open and not parked: leased, or resting between two attempts."""
    active_due_in_s: float | None
    """Seconds until the first of them may be claimed; None if there is none."""
    parked_due_in_s: float | None
    overdue_in_s: float | None = None
    """Seconds until a parked chunk without any score may have a provisional one."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What a person should know of a reading that went well."""

    what: str
    waiting_s: float | None = None
    """For rows that are there and cannot be read yet: how long what they wait for has been open; 0
    where that is not told."""
    found_nothing: bool = False
    """There is nothing to be read where the source should be."""
