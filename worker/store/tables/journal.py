"""Records, chunks and scores: the truth."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from worker.store.tables.base import METADATA, NOW, Time
from worker.store.tables.ledger import SOURCE

RECORD = Table(
    "record",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", Integer, nullable=False),
    Column("external_id", Text(collation="C"), nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("original_hash", LargeBinary),
    Column("text", Text, nullable=False),
    Column("published_at", Time),
    Column("author", Text),
    Column("language", Text),
    Column("tags", JSONB),
    Column("flags", ARRAY(Text)),
    Column("skip_reason", Text),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("run_id", BigInteger, nullable=False),
    Column("ingested_at", Time, nullable=False, server_default=NOW),
    Column("revised_at", Time, nullable=False, server_default=NOW),
    Column(
        "gone_at",
        Time,
        comment="When it was noticed that its source has it no more; null: it has.",
    ),
    UniqueConstraint("source_id", "external_id"),
    Index(
        "record_by_moment",
        "source_id",
        text("COALESCE(published_at, ingested_at) DESC"),
        "id",
    ),
)

REVISION = Table(
    "revision",
    METADATA,
    Column("record_id", ForeignKey(RECORD.c.id, ondelete="CASCADE"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("content_hash", LargeBinary, nullable=False),
    Column("text", Text, nullable=False),
    Column("published_at", Time),
    Column("replaced_at", Time, nullable=False, server_default=NOW),
    comment="What a record said before it was rewritten; its scores keep pointing at content_hash.",
)

CHUNK = Table(
    "chunk",
    METADATA,
    Column(
        "id",
        BigInteger,
        primary_key=True,
        server_default=text("nextval('sentiment.chunk_id'::regclass)"),
        autoincrement=False,
    ),
    Column("source_id", ForeignKey(SOURCE.c.id), nullable=False),
    Column(
        "lane",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Whose work it is: 0 the schedule's, else a backfill's.",
    ),
    Column("run_id", BigInteger, nullable=False),
    Column("root_id", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column(
        "visible_at",
        Time,
        nullable=False,
        server_default=NOW,
        comment="When the chunk may be claimed: "
        "the end of a pause, or of a lease that was not kept.",
    ),
    Column(
        "fence",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Incremented by every claim; "
        "a chunk is settled only under the token that claimed it last.",
    ),
    Column("leased_by", Text),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("reason", Text),
    Column("repeats", SmallInteger, nullable=False, server_default="0"),
    Column("parked", Boolean, nullable=False, server_default=text("false")),
    Column("provisional", Boolean, nullable=False, server_default=text("false")),
    Column("record_ids", ARRAY(BigInteger), nullable=False),
    Column(
        "content_hashes",
        LargeBinary,
        nullable=False,
        comment="16 bytes a record, in the order of record_ids: "
        "the revision that the chunk wants scored.",
    ),
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column("finished_at", Time),
    Index(
        "chunk_due",
        "source_id",
        "parked",
        "visible_at",
        postgresql_where=text("state = 'open'"),
    ),
)

SCORER = Table(
    "scorer",
    METADATA,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column(
        "promoted_at",
        Time,
        comment="Where a record has scores by several models, the one promoted last is current.",
    ),
    Column("first_seen", Time, nullable=False, server_default=NOW),
    Column(
        "languages",
        ARRAY(Text),
        comment="Codes of the languages that it reads, as it said when it scored first; "
        "null: not known.",
    ),
    UniqueConstraint("provider", "model", "version"),
)

SCORE = Table(
    "score",
    METADATA,
    Column("record_id", BigInteger, primary_key=True, autoincrement=False),
    Column("content_hash", LargeBinary, primary_key=True),
    Column("scorer_id", Integer, primary_key=True, autoincrement=False),
    Column("label", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("polarity", Double, nullable=False),
    Column("provisional", Boolean, nullable=False, server_default=text("false")),
    Column("fallback_reason", Text),
    Column("chunk_id", BigInteger, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("scored_at", Time, nullable=False, server_default=NOW),
    Column("language", Text, comment="As the function detected it; null: not, or unsure."),
    Index(
        "score_own_label",
        "label",
        postgresql_where=text("label NOT IN ('positive', 'neutral', 'negative')"),
    ),
)

QUARANTINE = Table(
    "quarantine",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", ForeignKey(SOURCE.c.id), nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("stage", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column(
        "reading",
        Text,
        nullable=False,
        server_default="",
        comment="The pass over the partition that refused it last.",
    ),
    Column("offset", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column(
        "fingerprint",
        LargeBinary,
        nullable=False,
        comment="Of place, reason and bytes: the same bad row, read again, is the same row here.",
    ),
    Column("record_id", ForeignKey(RECORD.c.id, ondelete="CASCADE")),
    Column("chunk_id", BigInteger),
    Column("created_at", Time, nullable=False, server_default=NOW),
    UniqueConstraint("source_id", "fingerprint"),
    Index("quarantine_record", "record_id"),
)
