"""Messages that are records themselves."""

from __future__ import annotations

from datetime import UTC, datetime

from worker.records import Record
from worker.sources.json_records import FIELDS
from worker.sources.queue.notices import NotUnderstood, document
from worker.sources.queue.queue import Message
from worker.sources.rows import paths
from worker.sources.rows.columns import RowRefused, TimeRefused
from worker.sources.rows.mapping import RecordMaker
from worker.sources.sqs import SqsSourceConfig


def taken(message: Message, config: SqsSourceConfig, maker: RecordMaker) -> list[Record]:
    """A message's records: all of them, or none. Raises NotUnderstood."""
    said = paths.found(config.records, document(message.body))
    if not isinstance(said, dict | list):
        raise NotUnderstood(f"it has no record at {config.records!r}")
    rows = said if isinstance(said, list) else [said]
    fields = {name: getattr(config, name) for name in FIELDS}
    records = []
    for n, row in enumerate(rows):
        flat = paths.flat(row, fields, config.tag_paths)
        if not config.id:
            flat["id"] = message.id if len(rows) == 1 else f"{message.id}:{n}"
        if not config.time:
            flat["time"] = message.sent_at
        if flat["text"] is None:
            raise NotUnderstood(f"it has nothing at text = {config.text!r}")
        try:
            records.append(maker.record(flat))
        except TimeRefused as error:  # its words quote the value
            raise NotUnderstood(f"the time at {config.time!r} cannot be read") from error
        except RowRefused as error:
            raise NotUnderstood(str(error)) from error
    return records


def when(record: Record) -> datetime:
    return record.published_at or datetime.min.replace(tzinfo=UTC)
