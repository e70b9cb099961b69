"""What a message of a queue says: which objects of S3 were written, in each of its three ways.

Straight from S3, wrapped by SNS, or by way of EventBridge:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

WRITTEN = ("ObjectCreated:", "ObjectRestore:Completed")
WRITTEN_BY_EVENTBRIDGE = ("Object Created", "Object Restore Completed")


class Place(NamedTuple):
    """An object of S3."""

    bucket: str
    key: str

    @property
    def path(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class NotUnderstood(ValueError):
    """Says why, without a word of what the message holds."""


def document(body: str) -> Any:
    """A message's JSON, out of SNS's wrapping. Raises NotUnderstood."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood("it is not JSON") from error
    if isinstance(said, dict) and said.get("Type") == "Notification" and "TopicArn" in said:
        return document(str(said.get("Message", "")))
    return said


def written(body: str) -> list[Place]:
    """The objects that a message says were written; none for one about a removal, a test or another
    event. Raises NotUnderstood for what is no notice of S3."""
    said = document(body)
    if not isinstance(said, dict):
        raise NotUnderstood("it is no notice of S3")
    try:
        if said.get("Event") == "s3:TestEvent":
            return []
        if said.get("source") == "aws.s3":
            detail = said["detail"]
            place = _place(detail["bucket"]["name"], detail["object"]["key"])
            return [place] if said["detail-type"] in WRITTEN_BY_EVENTBRIDGE else []
        # Only here S3 encodes the key, as a form does: a space is a plus.
        said = [
            (_place(r["s3"]["bucket"]["name"], unquote_plus(r["s3"]["object"]["key"])), r)
            for r in said["Records"]
        ]
        return [
            place for place, r in said if r["eventName"].removeprefix("s3:").startswith(WRITTEN)
        ]
    except (KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise NotUnderstood("it is no notice of S3") from error


def _place(bucket: Any, key: Any) -> Place:
    """Raises TypeError and UnicodeError for what can be the name of none."""
    if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):
        raise TypeError
    f"{bucket}{key}".encode()
    return Place(bucket, key)
