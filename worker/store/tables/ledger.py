"""Sources, runs, cursors and plans: what has run, and what may run."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
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
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from worker.states import Counters
from worker.store.tables.base import METADATA, NOW, Time

_COUNTERS = tuple(Counters.__dataclass_fields__)

SOURCE = Table(
    "source",
    METADATA,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("created_at", Time, nullable=False, server_default=NOW),
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
    Column("started_at", Time, nullable=False, server_default=NOW),
    Column("heartbeat_at", Time, nullable=False, server_default=NOW),
    Column("finished_at", Time),
    Column("error", Text),
    Column("due_at", Time, comment="When the schedule wanted it."),
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
    Column("until", Time, nullable=False),
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
    Column("updated_at", Time, nullable=False, server_default=NOW),
    Column(
        "identity",
        JSONB,
        comment="The rule of its records' ids, and the column of their texts; "
        "null: read before 0013.",
    ),
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
    Column("created_at", Time, nullable=False, server_default=NOW),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Time, nullable=False, server_default=NOW),
)

BACKFILL_WINDOW = Table(
    "backfill_window",
    METADATA,
    Column("backfill_id", ForeignKey(BACKFILL.c.id), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("opened_at", Time),
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
    Column("changed_at", Time, nullable=False, server_default=NOW),
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
    Column("since", Time, nullable=False, server_default=NOW),
    Column("until", Time, nullable=False),
    Column("ended_by", Text),
    Index("pause_by_source", "source_id", text("until DESC")),
)

TRANSCRIPT = Table(
    "transcript",
    METADATA,
    Column("source_id", ForeignKey(SOURCE.c.id), primary_key=True, autoincrement=False),
    Column(
        "digest", LargeBinary, primary_key=True, comment="BLAKE2b over the recording, 16 bytes."
    ),
    Column(
        "requested_language",
        Text,
        primary_key=True,
        comment="The language that the source names; empty: it was to be detected.",
    ),
    Column("from_s", Double, primary_key=True),
    Column("until_s", Double, nullable=False),
    Column("is_last", Boolean, nullable=False, comment="There is no more of the recording."),
    Column("language", Text),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("path", Text, nullable=False, comment="Where it lay when it was transcribed."),
    Column(
        "segments",
        JSONB,
        nullable=False,
        comment="[start, end, text, confidence] each, in seconds of the recording.",
    ),
    Column("transcribed_at", Time, nullable=False, server_default=NOW),
    Column(
        "call_id",
        Uuid,
        comment="The call that brought it: another one for the same window is counted beside it.",
    ),
    Column(
        "is_broken_off",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="The recording ends before it should: something of it is missing.",
    ),
    comment="A transcribed window of a recording: paid for once.",
)

TOLERATED = Table(
    "tolerated",
    METADATA,
    Column("oldest_worker", Text, nullable=False),
    comment="The oldest migration whose workers may go on working on this schema: one row.",
)
