"""A queue as a source.

A message is deleted once what it says is committed, and not before: a process that dies in
between finds it again, and the second time changes nothing. An object is read as it is now, by the
reader of files, with a cursor of its own (`s3://bucket/key`): notices may come twice, late or in
any order. Of messages that are records the one that was sent last counts, by its time.

What cannot be understood, or whose object may not be read, is left where it is: after the number of
receives that the queue allows, it moves to the dead-letter queue.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from worker import aws
from worker.errors import ConfigurationError, SourceUnavailable, WorkerError
from worker.log import get_logger
from worker.records import BEFORE, Page, Position, Record, Remark
from worker.sources.files import storage
from worker.sources.files.endings import AUDIO, ROWS
from worker.sources.files.source import FileSource
from worker.sources.files.storage import Blob
from worker.sources.json_records import FIELDS
from worker.sources.kinds import Opening
from worker.sources.queue import messages
from worker.sources.queue.deliveries import Deliveries, Task
from worker.sources.queue.notices import NotUnderstood, Place, written
from worker.sources.queue.objects import ObjectReader
from worker.sources.queue.queue import BATCH, Message, Queue
from worker.sources.rows import identity
from worker.sources.rows.mapping import RecordMaker
from worker.sources.sqs import SqsSourceConfig

log = get_logger(__name__)

IDLE_S = 1
"""So long an empty queue is listened to before a run ends: a run each message would be too many."""

LONGEST_RUN_S = 300.0
"""So long a run goes on taking messages; then it ends, the days are brought up to date, and the
next one goes on."""

PAGE_MESSAGES, BATCH_BYTES = 500, 4 * 1024 * 1024
"""Messages that are records become one page, up to so many and about so large."""


@dataclass(slots=True, eq=False)
class _Reading:
    """Of one run. The next may begin while a call of this one has not ended."""

    left: dict[str, int] = field(default_factory=dict)
    """Why messages stayed in the queue, and how many."""
    is_over: bool = False
    """No more messages are taken."""
    reader: ObjectReader | None = None


class SqsSource:
    """`worker.ports.AcknowledgedSource` of a queue's messages."""

    def __init__(self, config: SqsSourceConfig, opening: Opening) -> None:
        self.name = config.name
        self.remark: Remark | None = None
        self._config = config
        self._opening = opening
        # A recording takes minutes: others need not wait for it in our hand.
        self._queue = Queue(config.queue, opening.access, 1 if config.function else BATCH)
        self._deliveries = Deliveries(self._queue)
        self._first: list[Message] = []
        self._reading = _Reading()
        self._is_checked = False
        """Can recordings be transcribed? Asked before a message is taken: it would go to the
        dead-letter queue, with those beside it."""

    def size(self) -> int | None:
        return None

    def backlog(self) -> str:
        found = self._queue.attributes()
        count = int(found.get("ApproximateNumberOfMessages", 0))
        about = f"about {count:,} messages wait in it"
        return about if "RedrivePolicy" in found else f"{about}; it has no dead-letter queue"

    def wait(self, seconds: float) -> bool:
        self._deliveries.give_back(unread_only=False)  # of a run that failed before it was stored
        if not self._first:
            self._require_transcriber()
            self._first = self._queue.receive(int(seconds))
        return bool(self._first)

    def stop(self) -> None:
        """The run has ended, though its thread may not have."""
        self._reading.is_over = True
        if self._reading.reader:
            self._reading.reader.stop()

    def release(self) -> None:
        first, self._first = self._first, []
        self._queue.release(first)
        self._deliveries.give_back(unread_only=False)

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        self.remark = None
        reading = self._reading = _Reading()
        self._deliveries.give_back(unread_only=False)
        try:
            if self._config.shape == "records":
                yield from self._messages(reading, positions)
            else:
                yield from self._objects(reading, dict(positions))
            self._deliveries.settle()
            _raise_if_left(reading)
        except GeneratorExit:  # broken off: nobody will say of any page that it is stored
            self._deliveries.give_back(unread_only=False)
            raise
        finally:
            self._deliveries.give_back(unread_only=True)

    def acknowledge(self, pages: Sequence[Page]) -> None:
        self._deliveries.acknowledge(pages)

    def _batches(self, reading: _Reading, most: int = 1) -> Iterator[list[Task]]:
        """What the queue holds, until it is empty; each is filled up to `most` messages with what
        is there."""
        ends_at = time.monotonic() + LONGEST_RUN_S
        while not reading.is_over and time.monotonic() < ends_at:
            batch, self._first = self._first, []
            batch = batch or self._queue.receive(IDLE_S)
            if not batch:
                return
            size = sum(len(message.body) for message in batch)
            while len(batch) < most and size < BATCH_BYTES:
                more = self._queue.receive(0)
                if not more:
                    break
                batch += more
                size += sum(len(message.body) for message in more)
            yield self._deliveries.take(batch)

    def _leave(self, reading: _Reading, task: Task, why: str) -> None:
        """`why` never quotes what the message holds: it goes into logs."""
        reading.left[why] = reading.left.get(why, 0) + 1
        about = {"id": task.message.id, "received": task.message.received, "why": why}
        log.warning("queue.message_left", source=self.name, **about)
        self._deliveries.leave(task)

    # -- objects -----------------------------------------------------------------------------

    def _objects(self, reading: _Reading, positions: dict[str, Position]) -> Iterator[Page]:
        c = self._config
        client = aws.client("s3", self._opening.access)
        files = FileSource(c.name, (), c.layout, tell=self._opening.tell, options=c.options)
        files.remember(positions)

        def look(place: Place) -> Blob | WorkerError | None:
            try:
                return storage.object_at(place.bucket, place.key, client)
            except WorkerError as error:
                return error
            except Exception as error:  # noqa: BLE001  one message's place is no reason to stop
                return SourceUnavailable(f"{place.path!a} cannot be read: {type(error).__name__}.")

        self._require_transcriber()
        reading.reader = ObjectReader(c, self._opening, files)
        with (
            ThreadPoolExecutor(BATCH, thread_name_prefix="objects") as pool,
            reading.reader as reader,
        ):
            if reading.is_over:  # by now: it could not be told
                reader.stop()
            for place in [] if reading.is_over else _redriven(positions):
                yield from self._read(reader, look(place), positions)
            for tasks in self._batches(reading):
                named = [(task, self._places(reading, task)) for task in tasks]
                looked = pool.map(look, [place for _, places in named for place in places])
                for task, places in named:
                    found = [next(looked) for _ in places]
                    if reading.is_over:
                        self._deliveries.leave(task, 0)
                    else:
                        yield from self._work_off(reading, task, found, positions)
                self._deliveries.settle()

    def _require_transcriber(self) -> None:
        """Raises ConfigurationError, SourceUnavailable."""
        options = self._config.transcription
        if options and not self._is_checked:
            with self._opening.open_transcriber(self.name, options) as transcriber:
                transcriber.check()
            self._is_checked = True

    def _places(self, reading: _Reading, task: Task) -> list[Place]:
        try:
            places = written(task.message.body)
        except NotUnderstood as error:
            self._leave(reading, task, str(error))
            return []
        endings = (ROWS, AUDIO) if self._config.function else (ROWS,)
        return [place for place in places if any(each.match(place.key) for each in endings)]

    def _work_off(
        self,
        reading: _Reading,
        task: Task,
        found: Sequence[Blob | WorkerError | None],
        positions: dict[str, Position],
    ) -> Iterator[Page]:
        assert reading.reader
        blob: Blob | WorkerError | None = None
        try:
            for blob in found:
                for page in self._read(reading.reader, blob, positions):
                    self._deliveries.add(task, page)
                    yield page
        except (SourceUnavailable, ConfigurationError) as error:
            if isinstance(error, ConfigurationError) and _is_audio(blob, reading.reader):
                # So it will be with every recording: they are not taken only to be left.
                reading.is_over, self._is_checked = True, False
            elif reading.is_over:  # the run has ended, and not because of this message
                self._deliveries.leave(task, 0)
                return
            self._leave(reading, task, str(error).rstrip("."))
        self._deliveries.is_read(task)

    def _read(
        self, reader: ObjectReader, blob: Blob | WorkerError | None, positions: dict[str, Position]
    ) -> Iterator[Page]:
        """None is an object that is gone by now: there is nothing to read."""
        if isinstance(blob, WorkerError):
            raise blob
        if blob is None:
            return
        for page in reader.read(blob, positions):
            positions[page.partition] = page.position
            yield page

    # -- records -----------------------------------------------------------------------------

    def _messages(self, reading: _Reading, positions: Mapping[str, Position]) -> Iterator[Page]:
        c = self._config
        names = [name for name in FIELDS if getattr(c.layout, name)] + [*c.tag_paths]
        maker = RecordMaker(c.layout, names, file=self.name)
        identity.require_same(positions.get("", {}), maker.identity, "")
        count = positions.get("", {}).get("messages", 0)
        for tasks in self._batches(reading, PAGE_MESSAGES):
            records: list[Record] = []
            for task in tasks:
                try:
                    records += messages.taken(task.message, c, maker)
                except NotUnderstood as error:
                    self._leave(reading, task, str(error))
                except Exception as error:  # noqa: BLE001  one message is no reason to stop
                    self._leave(
                        reading, task, f"its record cannot be used ({type(error).__name__})"
                    )
            count += len(tasks)
            records.sort(key=messages.when)
            size = sum(len(task.message.body) for task in tasks)
            page = Page("", {"messages": count}, records, bytes_read=size,
                        identity=maker.identity, keep_newer=True)  # fmt: skip
            for task in tasks:
                self._deliveries.add(task, page)
                self._deliveries.is_read(task)
            yield page


def _raise_if_left(reading: _Reading) -> None:
    """Raises SourceUnavailable, so that the run says what stayed in the queue."""
    if reading.left:
        count = sum(reading.left.values())
        why = "; ".join(sorted(reading.left)[:3])
        raise SourceUnavailable(
            f"{count:,} message{'s' if count > 1 else ''} stayed in the queue: {why}.",
            hint="They come again, until the queue moves them to its dead-letter queue.",
        )


def _is_audio(blob: Blob | WorkerError | None, reader: ObjectReader) -> bool:
    return isinstance(blob, Blob) and reader.transcribes(blob)


def _redriven(positions: Mapping[str, Position]) -> list[Place]:
    """Objects that are to be read anew, from their beginning."""
    again = [path for path, position in positions.items() if BEFORE in position]
    # A file in an archive is read with its archive.
    whole = dict.fromkeys(
        re.sub(r"(\.zip)!.*", r"\1", p, flags=re.IGNORECASE | re.DOTALL) for p in again
    )
    split = [path.removeprefix("s3://").split("/", 1) for path in whole]
    return [Place(*parts) for parts in split if len(parts) == 2]
