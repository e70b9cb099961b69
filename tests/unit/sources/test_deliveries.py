"""A message is deleted once all that it said is committed, whichever thread says so first."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import cast

import pytest

from worker.records import Page
from worker.sources.queue.deliveries import Deliveries
from worker.sources.queue.queue import Message, Queue


class Remembering:
    """A queue that notes what is deleted, and what is given back."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.too_early: list[str] = []
        """Deleted though not among `committed`."""
        self.committed: set[str] | None = None
        self.released: list[str] = []

    def delete(self, messages: Sequence[Message]) -> None:
        ids = [message.id for message in messages]
        self.deleted += ids
        if self.committed is not None:
            self.too_early += [id_ for id_ in ids if id_ not in self.committed]

    def release(self, messages: Sequence[Message], after_s: int = 0) -> None:
        self.released += [message.id for message in messages]


def message(id_: object) -> Message:
    return Message(str(id_), f"receipt {id_}", "", datetime(2026, 3, 1, tzinfo=UTC), 1)


def page(number: int) -> Page:
    return Page("", {"n": number}, ())


@pytest.fixture
def queue() -> Remembering:
    return Remembering()


def deliveries(queue: Remembering) -> Deliveries:
    return Deliveries(cast("Queue", queue))


def test_the_second_of_two_alike_waits_for_the_pages_of_the_first(queue: Remembering) -> None:
    held = deliveries(queue)
    first, again = held.take([message(1), message("1 again")])
    of_first = page(1)
    held.add(first, of_first)
    held.is_read(first)
    held.is_read(again)
    held.settle()
    assert queue.deleted == [], "the message that came twice is one: its deletion would lose it"
    held.acknowledge([of_first])
    assert queue.deleted == ["1", "1 again"]


def test_what_is_left_is_not_deleted_and_what_is_not_stored_goes_back(queue: Remembering) -> None:
    held = deliveries(queue)
    poison, good, unread = held.take([message(n) for n in ("poison", "good", "unread")])
    held.leave(poison)
    held.add(good, page(1))
    held.is_read(good)
    held.give_back(unread_only=True)
    assert queue.released == ["poison", "unread"]
    held.give_back(unread_only=False)
    assert queue.released == ["poison", "unread", "good"]
    assert queue.deleted == []
    assert unread.pages == []


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_reading_and_committing_at_once(queue: Remembering) -> None:
    held = deliveries(queue)
    queue.committed = committed = set[str]()
    waiting: deque[Page] = deque()
    errors: list[BaseException] = []
    done = threading.Event()

    def commit() -> None:
        try:
            while not done.is_set() or waiting:
                some = [waiting.popleft() for _ in range(len(waiting))]
                committed.update(str(each.position["n"]) for each in some)
                held.acknowledge(some)
        except BaseException as error:  # noqa: BLE001  shown by the test
            errors.append(error)

    thread = threading.Thread(target=commit)
    thread.start()
    for n in range(3_000):
        (task,) = held.take([message(n)])
        each = page(n)
        held.add(task, each)
        waiting.append(each)
        held.is_read(task)
        held.settle()
    done.set()
    thread.join()
    assert errors == []
    assert queue.too_early == []
    assert queue.deleted == [str(n) for n in range(3_000)], "in order, each once"
