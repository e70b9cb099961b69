"""Does work move? What each stage of the runs has under way, and for how long.

A stage beats when something begins and ends in it. A database that answers others, a healthy event
loop and an open port say nothing of a run whose own connection hangs; this does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from worker.errors import Stuck

STUCK_S = 60.0
"""Longer than any statement of the journal waits for a lock, or for a dead connection."""


class Stage(StrEnum):
    """A stage of a run that waits for somebody else."""

    READ = "read"
    """A page of the source, or a backfill's window."""
    TRANSCRIBE = "transcribe"
    """A window of a recording, which is part of a page: minutes, and with its attempts over an
    hour."""
    CALL = "call"
    """The Lambda's answer."""
    JOURNAL = "journal"
    """PostgreSQL."""


class Stages:
    """Of this process. May be used from any thread."""

    def __init__(
        self, runs_at_once: int = 1, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """If `runs_at_once` sources hang, no other source can be read."""
        self._runs_at_once = runs_at_once
        self._clock = clock
        self._under_way: dict[object, tuple[Stage, str, float]] = {}
        self._transcribed_at: dict[str, float] = {}

    @contextmanager
    def under_way(self, stage: Stage, what: str) -> Iterator[None]:
        """`what` is the source's name where a stage is of a source."""
        key = object()
        self._under_way[key] = (stage, what, self._clock())
        try:
            yield
        finally:
            if stage is Stage.TRANSCRIBE:
                self._transcribed_at[what] = self._clock()
            del self._under_way[key]

    def longest(self) -> dict[Stage, float]:
        """Seconds that the oldest of what is under way has taken, by stage; 0 where nothing is."""
        found = dict.fromkeys(Stage, 0.0)
        for stage, _, seconds in self._waits():
            found[stage] = max(found[stage], seconds)
        return found

    def require_moving(self) -> None:
        """Raises Stuck while a statement of the journal hangs, or so many sources that no run can
        begin."""
        late = [wait for wait in self._waits() if wait[2] > STUCK_S]
        for stage, what, seconds in late:
            if stage is Stage.JOURNAL:
                raise Stuck(f"{what} has waited {seconds:.0f} s for the database")
        reading = [what for stage, what, _ in late if stage is Stage.READ]
        if len(reading) >= self._runs_at_once:
            raise Stuck(f"every run waits for its source: {', '.join(sorted(reading))}")

    def _waits(self) -> list[tuple[Stage, str, float]]:
        """A source whose recordings are being transcribed is being read, and does not hang."""
        now = self._clock()
        under_way = list(self._under_way.values())
        transcribed = {what for stage, what, _ in under_way if stage is Stage.TRANSCRIBE}
        waits = []
        for stage, what, began_at in under_way:
            moved_at = began_at
            if stage is Stage.READ:
                moved_at = now if what in transcribed else self._transcribed_at.get(what, began_at)
            waits.append((stage, what, now - max(began_at, moved_at)))
        return waits
