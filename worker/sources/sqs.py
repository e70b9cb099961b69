"""SQS: notices of objects that were put into a bucket, or messages that are records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from worker.sources.file import FileFormat
from worker.sources.kinds import Kind, Opening
from worker.sources.rows.layout import ROW_ID, Layout

if TYPE_CHECKING:
    from worker.sources.queue.source import SqsSource

FIELDS = ("id", "text", "time", "author", "language")


FORMAT = frozenset(("encoding", "delimiter", "sheet"))


class SqsSourceConfig(FileFormat):
    """The format is that of the objects."""

    kind: Literal["sqs"] = "sqs"
    queue: str = Field(min_length=1)
    """The queue's URL."""
    shape: Literal["s3", "records"] = "s3"
    """What a message is: a notice of an object of S3, or a record."""
    records: str = "@"
    """JMESPath of a message's record, or of its list of records. Of each record, JMESPath too: id,
    text, time, author, language, tags."""
    tags: dict[str, str] | tuple[str, ...] = ()  # type: ignore[assignment]  # names, or name = path

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
        from worker.sources.rows.paths import require_path  # jmespath is slow to import

        if self.shape == "s3":
            if self.records != "@" or isinstance(self.tags, dict):
                raise ValueError('records and paths of tags are for shape = "records"')
            if self.id == ROW_ID:
                raise ValueError('id = "row" does not do: two objects may have the same name')
            return self
        if unused := FORMAT & self.model_fields_set:
            raise ValueError(f'{min(unused)} is of objects, and not for shape = "records"')
        if not self.text:
            raise ValueError('shape = "records" needs text: its JMESPath in a message')
        for name in ("records", *FIELDS):
            if path := getattr(self, name):
                require_path(name, path)
        for name, path in self.tag_paths.items():
            require_path(f"tags.{name}", path)
        return self

    @property
    def tag_paths(self) -> dict[str, str]:
        """JMESPath of each tag, by its name."""
        return self.tags if isinstance(self.tags, dict) else {name: name for name in self.tags}

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
        from dataclasses import replace

        opening = replace(opening, access=replace(opening.access, region=region))
    return SqsSource(config, opening)


def _region_of(queue: str) -> str | None:
    """The region that a queue's URL names: another one's endpoint does not know the queue."""
    host = queue.split("/")[2]
    parts = host.split(".")
    return parts[1] if parts[0] == "sqs" and len(parts) > 3 else None


KIND = Kind("sqs", "objects dropped into a bucket, or records, by a queue", SqsSourceConfig,
            open_source)  # fmt: skip
