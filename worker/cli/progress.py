"""Bars on a terminal, nothing elsewhere (the log tells)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from worker.cli.output import WORDS
from worker.ports import Observer, Silent
from worker.states import Counters


class Bars:
    """`worker.ports.Observer`: how far reading is, and how far scoring is."""

    def __init__(self, progress: Progress, name: str, size: int | None) -> None:
        self._progress = progress
        self._read = progress.add_task(f"{name}: read", total=size, records="")
        self._scored = progress.add_task(f"{name}: scored", total=None, records="")

    def update(self, counters: Counters, *, bytes_read: int) -> None:
        wanted = counters.new + counters.changed - counters.skipped
        done = counters.scored + counters.provisional + counters.undecided
        self._progress.update(
            self._read, completed=bytes_read, records=f"{counters.read:,} records"
        )
        self._progress.update(
            self._scored,
            total=max(wanted, done) or None,
            completed=done,
            records=f"{done:,} of {wanted:,}"
            + (f", {counters.provisional:,} provisional" if counters.provisional else "")
            + (f", {counters.throttled:,} throttled" if counters.throttled else ""),
        )


class BackfillBar:
    """`worker.ports.Observer` of a backfill: what is finished of its plan."""

    def __init__(self, progress: Progress, row: Mapping[str, Any]) -> None:
        self._progress = progress
        self._before = row["finished"]
        self._task = progress.add_task(
            f"backfill {row['id']}: scored", total=row["records"], records=""
        )

    def update(self, counters: Counters, *, bytes_read: int) -> None:
        c = counters
        done = self._before + c.scored + c.undecided + c.superseded + c.dead
        waiting = f", {c.throttled:,} throttled" if c.throttled else ""
        self._progress.update(self._task, completed=done, records=f"{done:,} records{waiting}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed and "scored" in task.description else "")


@contextmanager
def bars(name: str, size: int | None) -> Iterator[Observer]:
    if not WORDS.is_terminal:
        yield Silent()
        return
    with _drawn() as progress:
        yield Bars(progress, name, size)


@contextmanager
def backfill_bar(row: Mapping[str, Any]) -> Iterator[Observer]:
    if not WORDS.is_terminal:
        yield Silent()
        return
    with _drawn() as progress:
        yield BackfillBar(progress, row)


@contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Tells how many records are done, on a terminal."""
    if not WORDS.is_terminal:
        yield lambda count: None
        return
    of = "" if total is None else f" of {total:,}"
    with Progress(TextColumn(f"{what}: {{task.completed:,.0f}}{of} records"), console=WORDS) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.update(task, completed=count)


def _drawn() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[records]}"),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=WORDS, refresh_per_second=5)


def spoken(seconds: float) -> str:
    """A duration for a person: 4 s, 12 min, 3 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
