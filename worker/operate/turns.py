"""Runs sources one after another for a command, and reports on each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from worker.errors import DatabaseUnavailable, WorkerError
from worker.operate.stopping import Stopper
from worker.operate.worker import Worker, look_back, pause_of, pull_work
from worker.pipeline.cycle import cycle
from worker.pipeline.work import Work
from worker.ports import Observer, Source
from worker.records import NOTHING_AGAIN, Position, Redrive
from worker.settings import Settings
from worker.sources import kinds
from worker.sources.config import SourceConfig
from worker.sources.kinds import Opening
from worker.states import RunReport, Trigger
from worker.store import reading
from worker.store.analytics import questions
from worker.store.ledger import cursors, unusual
from worker.threads import in_a_thread

FILES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Turn:
    """One source's run."""

    name: str
    kind: str
    config: SourceConfig | None
    """What to read; None only works off what is pending."""
    trigger: str
    redrive: Redrive = NOTHING_AGAIN
    check: Callable[[Mapping[str, Position]], None] | None = None
    """Asked before the run, with the source's cursors; raises ConfigurationError to refuse it."""


@dataclass(frozen=True, slots=True)
class TurnSummary:
    """How a turn went, and what its source holds that a person should know of."""

    turn: Turn
    report: RunReport
    warnings: Sequence[str] = ()
    looked: bool = False
    """Did the run look for records, and is the rest of this known?"""
    is_first: bool = False
    """Had the source never been read before?"""
    in_quarantine: int = 0
    read_elsewhere: Sequence[Mapping[str, Any]] = ()
    """Files of it whose texts another source has too; see `reading.read_elsewhere`."""


class Reporter(Protocol):
    """Tells a person, while and after turns are run."""

    wants_size: bool
    """Is it worth asking a source how much there is to read?"""

    def chosen(self, sentence: str) -> None: ...

    def paused(self, turn: Turn, pause: Mapping[str, Any]) -> None: ...

    def refused(self, turn: Turn, error: WorkerError) -> None: ...

    def watching(self, turn: Turn, size: int | None) -> AbstractContextManager[Observer]: ...

    def ended(self, ending: TurnSummary) -> None: ...


async def one_after_another(
    worker: Worker, settings: Settings, turns: Sequence[Turn], teller: Reporter
) -> tuple[list[RunReport | WorkerError], int]:
    """What became of each turn that was not passed over, and the signal that ended them early, or
    0."""
    outcomes: list[RunReport | WorkerError] = []
    stopper = Stopper(lambda: None)
    for turn in turns:
        if stopper.signal:
            break
        pausable = turn.config if turn.trigger == Trigger.ONCE else None
        if pausable and (pause := await asyncio.to_thread(pause_of, worker, pausable)):
            teller.paused(turn, pause)
            continue
        try:
            outcomes.append(await _run(worker, settings, turn, teller, stopper))
        except WorkerError as error:
            teller.refused(turn, error)
            outcomes.append(error)
    return outcomes, stopper.signal


async def _run(
    worker: Worker, settings: Settings, turn: Turn, teller: Reporter, stopper: Stopper
) -> RunReport:
    empty_before = partial(unusual.empty_in_a_row, worker.engine, turn.name)
    opening = Opening(settings.access, teller.chosen, empty_before, worker.open_transcriber)
    source = kinds.open_source(turn.config, opening) if turn.config else None
    before = await asyncio.to_thread(cursors.known, worker.engine, turn.name)
    if turn.check:
        await in_a_thread(partial(turn.check, before))
    size = await in_a_thread(source.size) if source and teller.wants_size else None
    about = (turn.name, turn.kind, source, turn.trigger, turn.redrive)
    work = await asyncio.to_thread(pull_work, worker, settings, *about)
    with teller.watching(turn, size) as observer:
        report = await cycle(
            worker.parts, worker.ledger, work, observer=observer, on_start=stopper.watch
        )
    ending = TurnSummary(turn, report)
    with contextlib.suppress(DatabaseUnavailable):  # the run itself has ended well
        ending = await asyncio.to_thread(
            partial(_look_at, worker, work, turn, report, source, is_first=not before)
        )
    teller.ended(ending)
    return report


def _look_at(
    worker: Worker,
    work: Work,
    turn: Turn,
    report: RunReport,
    source: Source | None,
    *,
    is_first: bool,
) -> TurnSummary:
    warnings = look_back(worker, work, report)
    if source is None or (source.remark and source.remark.found_nothing):
        return TurnSummary(turn, report, warnings)
    engine, read, new = worker.engine, report.counters.read, report.counters.new
    return TurnSummary(
        turn,
        report,
        warnings,
        looked=True,
        is_first=is_first,
        in_quarantine=0 if read else questions.quarantine_size(engine, turn.name),
        read_elsewhere=reading.read_elsewhere(engine, turn.name, FILES_SHOWN) if new else (),
    )
