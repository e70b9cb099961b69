"""A queue of SQS: receiving, holding on to what is at work, and deleting what is stored.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from worker import aws
from worker.aws import Access
from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger

log = get_logger(__name__)

BATCH = 10
"""Messages in one request, at most: SQS's own limit."""

VISIBILITY_S = 120
"""A message that was received, and neither deleted nor held on to for so long, comes again."""

LONGEST_POLL_S = 20
"""SQS's own limit."""

MISCONFIGURED = ("NonExistentQueue", "AccessDenied", "InvalidClientTokenId", "InvalidAddress",
                 "QueueDoesNotExist", "SignatureDoesNotMatch")  # fmt: skip


class Message(NamedTuple):
    id: str
    receipt: str
    body: str
    sent_at: datetime
    received: int
    """How many times by now."""


class Queue:
    """Messages that were received are held (hidden from others, for as long as it takes) until they
    are deleted, or let go."""

    def __init__(self, url: str, access: Access, at_once: int = BATCH) -> None:
        """`at_once`: messages that are received together, up to `BATCH`."""
        self._at_once = at_once
        self._url = url
        # A long poll may take its whole time to answer.
        self._client = aws.client("sqs", access, read_timeout_s=LONGEST_POLL_S + 10)
        self._held: dict[str, Message] = {}
        self._lock = threading.Lock()
        self._is_holding = False

    def receive(self, wait_s: int) -> list[Message]:
        """Up to `at_once` messages, as soon as there are any. Raises SourceUnavailable, and
        ConfigurationError where the queue is not there or may not be read."""
        found = self._call(
            "receive_message",
            MaxNumberOfMessages=self._at_once,
            WaitTimeSeconds=min(wait_s, LONGEST_POLL_S),
            VisibilityTimeout=VISIBILITY_S,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        messages = [_message(raw) for raw in found.get("Messages", ())]
        with self._lock:
            self._held |= {message.receipt: message for message in messages}
            starts = bool(messages) and not self._is_holding
            self._is_holding |= starts
        if starts:
            threading.Thread(target=self._hold, name="queue", daemon=True).start()
        return messages

    def delete(self, messages: Sequence[Message]) -> None:
        """What they said is stored. One that cannot be deleted comes again, and changes nothing."""
        self._forget(messages)
        for entries in _entries(messages):
            self._try("delete_message_batch", entries)

    def release(self, messages: Sequence[Message], after_s: int = 0) -> None:
        """Somebody may have them again, after so long."""
        self._forget(messages)
        for entries in _entries(messages, VisibilityTimeout=after_s):
            self._try("change_message_visibility_batch", entries)

    def attributes(self) -> dict[str, str]:
        """How many messages wait, and whether there is a dead-letter queue. Raises as `receive`."""
        wanted = ["ApproximateNumberOfMessages", "RedrivePolicy"]
        found = self._call("get_queue_attributes", AttributeNames=wanted)
        return dict(found.get("Attributes", {}))

    def _hold(self) -> None:
        """An object may take longer to be read than a message is hidden. Ends with the last one."""
        while True:
            time.sleep(VISIBILITY_S / 3)
            with self._lock:
                held = list(self._held.values())
                self._is_holding = bool(held)
            if not held:
                return
            for entries in _entries(held, VisibilityTimeout=VISIBILITY_S):
                self._try("change_message_visibility_batch", entries)

    def _forget(self, messages: Sequence[Message]) -> None:
        with self._lock:
            for message in messages:
                self._held.pop(message.receipt, None)

    def _try(self, action: str, entries: list[dict[str, Any]]) -> None:
        try:
            failed = self._call(action, Entries=entries).get("Failed", ())
        except (SourceUnavailable, ConfigurationError) as error:
            log.warning("queue.not_done", action=action, messages=len(entries), error=str(error))
            return
        if failed:
            codes = sorted({str(each.get("Code")) for each in failed})
            log.warning("queue.not_done", action=action, messages=len(failed), error=codes)

    def _call(self, action: str, **arguments: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = getattr(self._client, action)(QueueUrl=self._url, **arguments)
        except (BotoCoreError, ClientError) as error:
            raise _refused(self._url, action, error) from error
        return found


def _message(raw: dict[str, Any]) -> Message:
    attributes = raw.get("Attributes", {})
    sent = datetime.fromtimestamp(int(attributes.get("SentTimestamp", 0)) / 1000, UTC)
    received = int(attributes.get("ApproximateReceiveCount", 1))
    return Message(raw["MessageId"], raw["ReceiptHandle"], raw.get("Body", ""), sent, received)


def _entries(messages: Sequence[Message], **more: Any) -> Iterator[list[dict[str, Any]]]:
    """Requests of `BATCH` at most."""
    for start in range(0, len(messages), BATCH):
        part = messages[start : start + BATCH]
        yield [{"Id": str(n), "ReceiptHandle": m.receipt} | more for n, m in enumerate(part)]


def _refused(url: str, action: str, error: Exception) -> SourceUnavailable | ConfigurationError:
    code = aws.code_of(error)
    sentence = f"The queue {url} cannot be read: {code}."
    if any(name in code for name in MISCONFIGURED):
        allowed = "sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility and"
        return ConfigurationError(
            sentence,
            hint="Check its URL and the credentials (`sentiment-worker doctor`), and that"
            f" {allowed} sqs:GetQueueAttributes are allowed on it.",
        )
    return SourceUnavailable(f"{sentence[:-1]} ({action}).", hint="The next run tries again.")
