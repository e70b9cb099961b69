"""The tables as SQLAlchemy Core, for queries that are composed. Migrations are the authority;
a test holds the two together (`alembic check`)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from worker.states import Counters

METADATA = MetaData(schema="sentiment")

_Time = DateTime(timezone=True)
_now = text("now()")
_COUNTERS = tuple(Counters.__dataclass_fields__)

SOURCE = Table(
    "source",
    METADATA,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("created_at", _Time, nullable=False, server_default=_now),
)

RUN = Table(
    "run",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", ForeignKey(SOURCE.c.id), nullable=False),
    Column(
        "lane",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Whose work it did: 0 the schedule's, else a backfill's.",
    ),
    Column("trigger", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="running"),
    Column("worker", Text, nullable=False),
    Column("started_at", _Time, nullable=False, server_default=_now),
    Column("heartbeat_at", _Time, nullable=False, server_default=_now),
    Column("finished_at", _Time),
    Column("error", Text),
    Column("due_at", _Time, comment="When the schedule wanted it."),
    Column("warnings", ARRAY(Text), comment="What was unlike the last weeks."),
    Column(
        "concurrency",
        SmallInteger,
        comment="How many calls at once were allowed at its end; the next run begins there.",
    ),
    Column("found_nothing", Boolean, comment="There was no file where the source should be."),
    Column(
        "waiting_s",
        Double,
        comment="How long a transaction had been open behind which committed rows waited.",
    ),
    *(
        Column(
            name,
            BigInteger,
            nullable=False,
            server_default="0",
            comment="Megabytes times milliseconds, as Lambda's report lines bill them; "
            "/ 1,024,000 is GB-seconds."
            if name == "billed_mb_ms"
            else None,
        )
        for name in _COUNTERS
    ),
    Index("run_by_source", "source_id", text("started_at DESC")),
)

HOLD = Table(
    "hold",
    METADATA,
    Column(
        "source_id",
        ForeignKey(SOURCE.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("lane", BigInteger, primary_key=True, server_default="0", autoincrement=False),
    Column("holder", Text, nullable=False),
    Column(
        "by_session",
        Boolean,
        nullable=False,
        comment="The holder has the lane's advisory lock too: "
        "if nobody has it any more, the holder is dead.",
    ),
    Column("until", _Time, nullable=False),
    comment="Who may run a lane, and until when: extended with the run's heartbeat.",
)

CURSOR = Table(
    "cursor",
    METADATA,
    Column("source_id", ForeignKey(SOURCE.c.id), primary_key=True),
    Column("partition", Text, primary_key=True),
    Column("position", JSONB, nullable=False),
    Column(
        "version",
        BigInteger,
        nullable=False,
        comment="Compared and incremented by each commit: two runs cannot both move a cursor.",
    ),
    Column("run_id", ForeignKey(RUN.c.id), nullable=False),
    Column("updated_at", _Time, nullable=False, server_default=_now),
    Column(
        "identity",
        JSONB,
        comment="The rule of its records' ids, and the column of their texts; "
        "null: read before 0013.",
    ),
)

RECORD = Table(
    "record",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", Integer, nullable=False),
    Column("external_id", Text(collation="C"), nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("original_hash", LargeBinary),
    Column("text", Text, nullable=False),
    Column("published_at", _Time),
    Column("author", Text),
    Column("language", Text),
    Column("tags", JSONB),
    Column("flags", ARRAY(Text)),
    Column("skip_reason", Text),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("run_id", BigInteger, nullable=False),
    Column("ingested_at", _Time, nullable=False, server_default=_now),
    Column("revised_at", _Time, nullable=False, server_default=_now),
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
    Column("published_at", _Time),
    Column("replaced_at", _Time, nullable=False, server_default=_now),
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
        _Time,
        nullable=False,
        server_default=_now,
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
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("finished_at", _Time),
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
        _Time,
        comment="Where a record has scores by several models, the one promoted last is current.",
    ),
    Column("first_seen", _Time, nullable=False, server_default=_now),
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
    Column("scored_at", _Time, nullable=False, server_default=_now),
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
    Column("created_at", _Time, nullable=False, server_default=_now),
    UniqueConstraint("source_id", "fingerprint"),
    Index("quarantine_record", "record_id"),
)

SPEND = Table(
    "spend",
    METADATA,
    Column("day", Date, primary_key=True),
    Column("source_id", ForeignKey(SOURCE.c.id), primary_key=True, autoincrement=False),
    Column("scorer_id", Integer, primary_key=True, autoincrement=False),
    *(
        Column(name, BigInteger, nullable=False, server_default="0")
        for name in ("invocations", "texts", "records", "billed_ms", "billed_mb_ms", "unreported")
    ),
    comment="What calls cost, by day (UTC), source and model; "
    "scorer 0 are calls without a usable answer.",
)

BACKFILL = Table(
    "backfill",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", ForeignKey(SOURCE.c.id), nullable=False),
    Column("state", Text, nullable=False, server_default="planned"),
    Column("reason", Text),
    Column("selection", JSONB, nullable=False, comment="What was asked for."),
    Column(
        "plan", JSONB, nullable=False, comment="What that was on the day: counts and their cost."
    ),
    Column("max_cost", Double),
    Column("created_by", Text, nullable=False),
    Column("created_at", _Time, nullable=False, server_default=_now),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", _Time, nullable=False, server_default=_now),
)

BACKFILL_WINDOW = Table(
    "backfill_window",
    METADATA,
    Column("backfill_id", ForeignKey(BACKFILL.c.id), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("opened_at", _Time),
    Column("record_ids", ARRAY(BigInteger), nullable=False),
    Column("content_hashes", LargeBinary, nullable=False),
    comment="The exact records of a plan. A window whose chunks are made is a checkpoint.",
)

CURSOR_CHANGE = Table(
    "cursor_change",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", ForeignKey(SOURCE.c.id), nullable=False),
    Column("partition", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("run_id", BigInteger),
    Column("changed_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("changed_at", _Time, nullable=False, server_default=_now),
    UniqueConstraint("run_id", "source_id", "partition"),
    Index("cursor_change_by_source", "source_id", text("id DESC")),
    comment="A row a run and partition that it moved, and one for each change by a person.",
)

PAUSE = Table(
    "pause",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", ForeignKey(SOURCE.c.id), nullable=False),
    Column("reason", Text, nullable=False),
    Column("paused_by", Text, nullable=False),
    Column("since", _Time, nullable=False, server_default=_now),
    Column("until", _Time, nullable=False),
    Column("ended_by", Text),
    Index("pause_by_source", "source_id", text("until DESC")),
)

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
    Column("made_at", _Time, nullable=False, server_default=_now),
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
    Index("tally_by_block", "block"),
    Index("tally_by_day", "source_id", "tag", "value", "day"),
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
    comment="By source and day; tag is empty for all records together.",
)

TOLERATED = Table(
    "tolerated",
    METADATA,
    Column("oldest_worker", Text, nullable=False),
    comment="The oldest migration whose workers may go on working on this schema: one row.",
)
