"""Messages at work: each is deleted once all that it said is committed, in the order of arrival.

One thread reads, and another says what is committed: every access is under a lock, and no request
is made while it is held.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.log import get_logger
from worker.records import Page
from worker.sources.queue.queue import Message, Queue

log = get_logger(__name__)

RETRY_AFTER_S = 30
"""A message that could not be worked off becomes visible again after so long."""


@dataclass(slots=True, eq=False)
class Task:
    """A message at work."""

    message: Message
    pages: list[Page] = field(default_factory=list)
    """Of them, those that are not committed yet."""
    is_read: bool = False
    """Are these all of its pages?"""
    is_left: bool = False
    """It stays in the queue."""


class Deliveries:
    """The messages that were received and are not settled."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._tasks: deque[Task] = deque()
        self._lock = threading.Lock()

    def take(self, messages: Sequence[Message]) -> list[Task]:
        tasks = [Task(message) for message in messages]
        with self._lock:
            self._tasks.extend(tasks)
        return tasks

    def add(self, task: Task, page: Page) -> None:
        """A page of a message, before it is given away to be stored."""
        with self._lock:
            task.pages.append(page)

    def is_read(self, task: Task) -> None:
        with self._lock:
            task.is_read = True

    def leave(self, task: Task, after_s: int = RETRY_AFTER_S) -> None:
        """It stays in the queue, and comes again later."""
        with self._lock:
            task.is_read = task.is_left = True
        self._queue.release([task.message], after_s)

    def acknowledge(self, pages: Sequence[Page]) -> None:
        """These are committed."""
        done = {id(page) for page in pages}
        with self._lock:
            for task in self._tasks:
                task.pages = [page for page in task.pages if id(page) not in done]
        self.settle()

    def settle(self) -> None:
        """Delete what is stored, in the order of arrival: a message that came twice is one message,
        and the second may go only once the pages of the first are committed."""
        done: list[Message] = []
        with self._lock:
            while self._tasks and self._tasks[0].is_read and not self._tasks[0].pages:
                task = self._tasks.popleft()
                if not task.is_left:
                    done.append(task.message)
        self._queue.delete(done)

    def give_back(self, *, unread_only: bool) -> None:
        """Others may have these messages at once, or we again."""
        with self._lock:
            given = [task for task in self._tasks if not (unread_only and task.is_read)]
            kept = [task for task in self._tasks if unread_only and task.is_read]
            self._tasks = deque(kept)
        self._queue.release([task.message for task in given if not task.is_left])
