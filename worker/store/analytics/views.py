"""The views of schema analytics as SQLAlchemy Core, for queries that are composed. What they mean
is in migrations/views; a test holds the two together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, JSONB

from worker.states import Counters

ANALYTICS = MetaData(schema="analytics")

_Time = DateTime(timezone=True)

SOURCES = Table(
    "sources",
    ANALYTICS,
    Column("id", Integer),
    *(Column(name, Text) for name in ("name", "kind")),
    Column("created_at", _Time),
)


def kinds(view: Table) -> dict[str, type]:
    """Each column's name, and the Python type of what is in it."""
    return {column.name: column.type.python_type for column in view.c}


CURRENT_SENTIMENT = Table(
    "current_sentiment",
    ANALYTICS,
    Column("source", Text),
    Column("external_id", Text),
    Column("text", Text),
    Column("published_at", _Time),
    Column("label", Text),
    Column("score", Double),
    Column("polarity", Double),
    Column("scorer", Text),
    Column("model", Text),
    Column("model_version", Text),
    Column("provisional", Boolean),
    Column("fallback_reason", Text),
    Column("scored_at", _Time),
    Column("skip_reason", Text),
    Column("author", Text),
    Column("language", Text),
    Column("tags", JSONB),
    Column("revision", Integer),
    Column("ingested_at", _Time),
    Column("record_id", BigInteger),
    Column("source_id", Integer),
    Column("moment", _Time),
    Column("machine_label", Text),
    Column("machine_polarity", Double),
    *(Column(name, Text) for name in ("overridden_by", "override_why")),
    Column("overridden_at", _Time),
    Column("language_supported", Boolean),
)


def _by_day() -> Iterator[Column[Any]]:
    yield from (Column(n, BigInteger) for n in ("records", "positive", "neutral", "negative"))
    yield Column("mean_polarity", Double)
    yield from (
        Column(n, BigInteger) for n in ("provisional", "unscored", "rescored", "overridden")
    )
    yield from (Column(n, Double) for n in ("share_provisional", "share_unscored"))
    yield Column("source_id", Integer)
    yield Column("unsupported", BigInteger)


DAILY_SENTIMENT = Table(
    "daily_sentiment",
    ANALYTICS,
    Column("source", Text),
    Column("day", Date),
    *_by_day(),
)

DAILY_BY_TAG = Table(
    "daily_by_tag",
    ANALYTICS,
    Column("source", Text),
    Column("day", Date),
    *(Column(name, Text) for name in ("tag", "value")),
    *_by_day(),
)

EXTREMES = Table(
    "extremes",
    ANALYTICS,
    Column("source_id", Integer),
    Column("day", Date),
    *(Column(name, Text) for name in ("tag", "value")),
    Column("lowest", Double),
    Column("lowest_ids", ARRAY(BigInteger)),
    Column("highest", Double),
    Column("highest_ids", ARRAY(BigInteger)),
)

OVERRIDES = Table(
    "overrides",
    ANALYTICS,
    Column("id", BigInteger),
    *(Column(name, Text) for name in ("source", "external_id", "text", "label")),
    Column("polarity", Double),
    Column("machine_label", Text),
    Column("machine_polarity", Double),
    *(Column(name, Text) for name in ("model", "model_version", "made_by", "why")),
    Column("made_at", _Time),
    Column("in_force", Boolean),
)

RUN_HISTORY = Table(
    "run_history",
    ANALYTICS,
    Column("id", BigInteger),
    Column("source", Text),
    Column("trigger", Text),
    Column("state", Text),
    Column("started_at", _Time),
    Column("finished_at", _Time),
    Column("duration", INTERVAL),
    Column("error", Text),
    *(Column(name, BigInteger) for name in Counters.__dataclass_fields__ if name != "unreported"),
    Column("backfill_id", BigInteger),
    Column("due_at", _Time),
    Column("warnings", ARRAY(Text)),
    Column("unreported", BigInteger),
)

PENDING_WORK = Table(
    "pending_work",
    ANALYTICS,
    Column("source", Text),
    *(Column(n, BigInteger) for n in ("chunks", "records", "provisional_records", "leased_chunks")),
    Column("oldest", _Time),
)

BACKFILLS = Table(
    "backfills",
    ANALYTICS,
    Column("id", BigInteger),
    *(Column(n, Text) for n in ("source", "state", "reason")),
    *(Column(n, _Time) for n in ("since", "until")),
    *(
        Column(n, BigInteger)
        for n in (
            *("records", "finished", "leased_chunks", "planned_invocations", "invocations"),
            *("billed_mb_ms", "scored", "superseded", "dead"),
        )
    ),
    *(Column(n, Double) for n in ("seconds", "max_cost")),
    *(Column(n, Text) for n in ("created_by", "changed_by")),
    *(Column(n, _Time) for n in ("created_at", "changed_at")),
)

RECORDS = Table(
    "records",
    ANALYTICS,
    Column("record_id", BigInteger),
    Column("source_id", Integer),
    Column("moment", _Time),
    *(Column(n, Text) for n in ("external_id", "text", "language")),
    Column("tags", JSONB),
)

SCORES = Table(
    "scores",
    ANALYTICS,
    Column("record_id", BigInteger),
    *(Column(n, Text) for n in ("source", "external_id", "label")),
    *(Column(n, Double) for n in ("score", "polarity")),
    *(Column(n, Text) for n in ("scorer", "model", "model_version")),
    Column("provisional", Boolean),
    Column("fallback_reason", Text),
    Column("scored_at", _Time),
    Column("of_present_text", Boolean),
    Column("run_id", BigInteger),
    Column("source_id", Integer),
    Column("language", Text),
    Column("languages", ARRAY(Text)),
)

REVISIONS = Table(
    "revisions",
    ANALYTICS,
    Column("record_id", BigInteger),
    *(Column(n, Text) for n in ("source", "external_id")),
    Column("revision", Integer),
    Column("text", Text),
    *(Column(n, _Time) for n in ("published_at", "replaced_at")),
    Column("source_id", Integer),
)

REFUSED = Table(
    "quarantine",
    ANALYTICS,
    Column("id", BigInteger),
    *(Column(n, Text) for n in ("source", "stage", "partition", "offset", "reason")),
    *(Column(n, BigInteger) for n in ("record_id", "run_id")),
    Column("created_at", _Time),
    Column("source_id", Integer),
)

REVIEW_ITEMS = Table(
    "review_items",
    ANALYTICS,
    Column("review_id", BigInteger),
    Column("number", Integer),
    Column("source", Text),
    Column("drawn_at", _Time),
    Column("drawn_by", Text),
    *(Column(n, _Time) for n in ("since", "until")),
    Column("part", Text),
    Column("probability", Double),
    Column("record_id", BigInteger),
    *(Column(n, Text) for n in ("external_id", "text", "language", "model", "machine_label")),
    Column("machine_score", Double),
    *(Column(n, Text) for n in ("person_label", "reviewed_by")),
    Column("reviewed_at", _Time),
    Column("skipped_why", Text),
    Column("rewritten", Boolean),
    Column("source_id", Integer),
)

REVIEWS = Table(
    "reviews",
    ANALYTICS,
    Column("id", BigInteger),
    Column("source", Text),
    Column("drawn_at", _Time),
    Column("drawn_by", Text),
    *(Column(n, _Time) for n in ("since", "until")),
    *(Column(n, BigInteger) for n in ("negative", "neutral", "positive")),
    Column("source_id", Integer),
    Column("people", Integer),
)

JUDGEMENTS = Table(
    "review_judgements",
    ANALYTICS,
    Column("review_id", BigInteger),
    Column("number", Integer),
    *(Column(n, Text) for n in ("person", "label", "skipped_why")),
    Column("said_at", _Time),
    Column("source_id", Integer),
)
