"""A worker that can run sources, what a run of one is about, and what is said of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Engine

from worker.log import get_logger
from worker.operate.budget import over_budget
from worker.pipeline.feed import SourceFeed
from worker.pipeline.work import Parts, Work
from worker.ports import Source
from worker.records import NOTHING_AGAIN, Lane, Redrive
from worker.scoring.target import LambdaTarget
from worker.settings import Settings
from worker.sources.config import SourceConfig
from worker.speech import OpenTranscriber
from worker.states import RunReport, Trigger
from worker.store.ledger import pauses, unusual
from worker.store.ledger.runs import PostgresLedger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that can run sources."""

    name: str
    """Who holds leases, and is named in the ledger."""
    parts: Parts
    ledger: PostgresLedger
    engine: Engine
    target: LambdaTarget | None
    """None for TextBlob by choice."""
    open_transcriber: OpenTranscriber
    """Who turns the recordings of a source into text."""


def pull_work(
    worker: Worker,
    settings: Settings,
    name: str,
    kind: str,
    source: Source | None,
    trigger: str,
    redrive: Redrive = NOTHING_AGAIN,
) -> Work:
    """A run of a source from its cursors on, or (`source` None) of what is pending of it."""
    source_id = worker.ledger.source_id(name, kind)
    parts = worker.parts
    feed = SourceFeed(
        *(parts.journal, parts.planner, source_id, source, redrive), expect=parts.fanout.expect
    )
    supervise = partial(over_budget, worker.engine, settings)
    limited = settings.budget_daily or settings.budget_monthly
    return Work(name, Lane(source_id), feed, trigger, supervise if limited else None)


def look_back(worker: Worker, work: Work, report: RunReport) -> list[str]:
    """What of a run that pulled is unlike the last weeks, or remarked by its source: logged, and
    kept with it."""
    if work.trigger not in (Trigger.SCHEDULE, Trigger.ONCE):
        return []
    c, found = report.counters, []
    if report.state in unusual.STATES:
        about = (work.lane.source_id, report.run_id, c.new + c.changed)
        found = unusual.warnings(worker.engine, *about)
    if remark := work.feed.remark:
        found.append(remark.what)
    if found:
        worker.ledger.warn(report.run_id, found, remark)
        log.warning("run.unusual", run=report.run_id, source=work.name, why=found)
    return found


def pause_of(worker: Worker, config: SourceConfig) -> Mapping[str, Any] | None:
    """The pause that a source is under, if any; one whose runs keep failing is paused now, where
    its configuration says so."""
    if config.pause_after:
        source_id = worker.ledger.source_id(config.name, config.kind)
        runs = config.pause_after
        if why := pauses.begin_if_failing(worker.engine, source_id, runs=runs, by=worker.name):
            log.error("source.paused_itself", source=config.name, why=why)
    return pauses.current(worker.engine).get(config.name)


def is_due(worker: Worker, lane: Lane, now: float) -> bool:
    """Is there something of the lane to be sent, or to be scored provisionally?"""
    pending = worker.parts.journal.pending(lane)
    active = pending.active_due_in_s is not None and pending.active_due_in_s <= 0
    parked = pending.parked_due_in_s is not None and pending.parked_due_in_s <= 0
    overdue = pending.overdue_in_s is not None and pending.overdue_in_s <= 0
    return active or overdue or (parked and worker.parts.fanout.circuit.probe_due(now))
