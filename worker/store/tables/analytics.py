"""What people said, and the counts by day."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from worker.store.tables.base import METADATA, NOW, Time
from worker.store.tables.journal import RECORD
from worker.store.tables.ledger import SOURCE

OVERRIDE = Table(
    "override",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("record_id", ForeignKey(RECORD.c.id, ondelete="CASCADE"), nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("label", Text),
    Column("polarity", Double),
    Column("made_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("made_at", Time, nullable=False, server_default=NOW),
    Index("override_by_record", "record_id", "content_hash", text("id DESC")),
    comment="A person's word on a text, beside the machine's; the last one holds, "
    "null takes it back.",
)

TOUCHED = Table(
    "touched",
    METADATA,
    Column("block", BigInteger, nullable=False),
    comment="Blocks of records that changed since daily was brought up to date. "
    "Rows are only ever added, and deleted by whoever counts the block anew.",
)

_TALLIED = (
    *("records", "scored", "positive", "neutral", "negative"),
    *("provisional", "rescored", "overridden", "micropolarity"),
)

TALLY = Table(
    "tally",
    METADATA,
    Column("block", BigInteger, nullable=False),
    Column("source_id", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("tag", Text, nullable=False),
    Column("value", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _TALLIED),
    *(Column(name, Double) for name in ("lowest", "highest")),
    *(Column(name, ARRAY(BigInteger)) for name in ("lowest_ids", "highest_ids")),
    Column(
        "unsupported",
        BigInteger,
        comment="Records whose label does not count, for their language; "
        "null: counted by a worker of 0014.",
    ),
    Column(
        "without_gone",
        Boolean,
        comment="Records that are gone are not counted; null: counted by a worker of 0017.",
    ),
    Index("tally_by_block", "block"),
    Index("tally_by_day", "source_id", "tag", "value", "day"),
    Index("tally_without_languages", "block", postgresql_where=text("unsupported IS NULL")),
    Index("tally_with_gone", "block", postgresql_where=text("without_gone IS NULL")),
    Index("tally_incomplete", "block", postgresql_where=text("lowest IS NULL AND scored > 0")),
    comment="What a block of records (id / 8192) adds to daily.",
)

DAILY = Table(
    "daily",
    METADATA,
    Column("source_id", Integer, primary_key=True, autoincrement=False),
    Column("tag", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    *(
        Column(
            name,
            BigInteger,
            nullable=False,
            comment="Sum of polarity in millionths: "
            "whole numbers do not drift as they are added to and taken from."
            if name == "micropolarity"
            else None,
        )
        for name in _TALLIED
    ),
    Column("unsupported", BigInteger, nullable=False, server_default="0"),
    comment="By source and day; tag is empty for all records together.",
)

REVIEW = Table(
    "review",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", ForeignKey(SOURCE.c.id, ondelete="CASCADE"), nullable=False),
    *(Column(name, Time) for name in ("since", "until")),
    *(Column(name, BigInteger, nullable=False) for name in ("negative", "neutral", "positive")),
    Column("drawn_by", Text, nullable=False),
    Column("drawn_at", Time, nullable=False, server_default=NOW),
    Column("people", SmallInteger, nullable=False, server_default="1"),
    Index("review_by_source", "source_id", text("id DESC")),
    comment="A draw of records for people to review, with how many the machine called what.",
)

REVIEW_ITEM = Table(
    "review_item",
    METADATA,
    Column(
        "review_id",
        ForeignKey(REVIEW.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("record_id", ForeignKey(RECORD.c.id, ondelete="CASCADE"), nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("part", Text, nullable=False),
    Column("probability", Double),
    Column("label", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("model", Text, nullable=False),
    *(Column(name, Text) for name in ("language", "said", "said_by")),
    Column("said_at", Time),
    Column("skipped_why", Text),
    Index("review_item_by_record", "record_id"),
    comment="A record of a draw, with what the machine said of it then, and what a person says.",
)

REVIEW_JUDGEMENT = Table(
    "review_judgement",
    METADATA,
    Column("review_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("person", Text, primary_key=True),
    *(Column(name, Text) for name in ("label", "skipped_why")),
    Column("said_at", Time, nullable=False, server_default=NOW),
    ForeignKeyConstraint(
        ["review_id", "number"], [REVIEW_ITEM.c.review_id, REVIEW_ITEM.c.number], ondelete="CASCADE"
    ),
    comment="What one person says of a record of a draw, or why they passed it over.",
)
