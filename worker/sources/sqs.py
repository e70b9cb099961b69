"""SQS: notices of objects that were put into a bucket, or messages that are records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from worker.sources.audio import TranscriptionConfig
from worker.sources.config import SourceConfig
from worker.sources.file import FileFormat
from worker.sources.json_records import FIELDS, JsonRecords
from worker.sources.kinds import Kind, Opening
from worker.sources.rows.layout import ROW_ID, Layout

if TYPE_CHECKING:
    from worker.sources.queue.source import SqsSource

FORMAT = frozenset(("encoding", "delimiter", "sheet"))
OF_RECORDINGS = frozenset(TranscriptionConfig.model_fields) - frozenset(SourceConfig.model_fields)
RHYTHM = frozenset(("days_off", "jitter"))


class SqsSourceConfig(JsonRecords, FileFormat, TranscriptionConfig):
    """The format is that of objects, the paths are those of messages that are records. With a
    `function`, objects that are recordings are transcribed."""

    kind: Literal["sqs"] = "sqs"
    queue: str = Field(min_length=1)
    """The queue's URL."""
    shape: Literal["s3", "records"] = "s3"
    """What a message is: a notice of an object of S3, or a record."""

    @field_validator("queue")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError(
                "queue must be the queue's URL: https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"
            )
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> SqsSourceConfig:
        if self.listens and (said := RHYTHM & self.model_fields_set):
            name = min(said).replace("days_off", "except")
            raise ValueError(f"{name} is for a queue that is read at its times: say every, too")
        if (said := OF_RECORDINGS & self.model_fields_set) and not self.function:
            raise ValueError(
                f"{min(said)} is of recordings, and needs function, which transcribes them"
            )
        if self.shape == "s3":
            if self.records != "@" or isinstance(self.tags, dict):
                raise ValueError('records and paths of tags are for shape = "records"')
            if self.id == ROW_ID:
                raise ValueError('id = "row" does not do: two objects may have the same name')
            return self
        if unused := (FORMAT | OF_RECORDINGS) & self.model_fields_set:
            raise ValueError(f'{min(unused)} is of objects, and not for shape = "records"')
        if not self.text:
            raise ValueError('shape = "records" needs text: its JMESPath in a message')
        self.require_paths()
        return self

    @property
    def layout(self) -> Layout:
        """Of the objects' rows; of messages, of rows with these names, where the id and the time
        are the message's own unless the record has them."""
        if self.shape == "s3":
            return super().layout
        named: dict[str, Any] = {name: name for name in FIELDS if getattr(self, name)}
        named |= {"id": "id", "time": "time", "tags": tuple(self.tag_paths)}
        return Layout(**named, timezone=self.timezone, time_format=self.time_format)

    @property
    def listens(self) -> bool:
        return self.schedule is None and self.every is None

    @property
    def is_at_aws(self) -> bool:
        return True


def open_source(config: SqsSourceConfig, opening: Opening) -> SqsSource:
    from worker.sources.queue.source import SqsSource  # boto3 is slow to import

    if opening.access.region is None and (region := _region_of(config.queue)):
        opening = replace(opening, access=replace(opening.access, region=region))
    return SqsSource(config, opening)


def _region_of(queue: str) -> str | None:
    """The region that a queue's URL names: another one's endpoint does not know the queue."""
    host = queue.split("/")[2]
    parts = host.split(".")
    return parts[1] if parts[0] == "sqs" and len(parts) > 3 else None


KIND = Kind("sqs", "objects dropped into a bucket, or records, by a queue", SqsSourceConfig,
            open_source)  # fmt: skip
