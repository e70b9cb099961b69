"""The ledger: sources, the lock of a lane, runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from worker.errors import ConfigurationError, TakenOver
from worker.log import get_logger
from worker.records import Lane, Remark
from worker.states import Counters, RunState, Trigger
from worker.store import database
from worker.store.analytics import rollup
from worker.store.ledger.holds import Holds
from worker.store.ledger.removal import BEGUN
from worker.store.tables import CHUNK, RUN, SOURCE

log = get_logger(__name__)

_FREED = (
    sa.update(CHUNK)
    .where(CHUNK.c.state == "open")
    .values(leased_by=None, visible_at=sa.func.now(), fence=CHUNK.c.fence + 1)
)
"""Lets go of leases; a stale answer no longer fits."""


def register_source(engine: Engine, name: str, kind: str) -> int:
    """The source's id, whether or not it was known. Raises ConfigurationError where it is known as
    one of another kind: its ids would mean something else."""
    new = insert(SOURCE).values(name=name, kind=kind).on_conflict_do_nothing()
    known = sa.select(SOURCE.c.id, SOURCE.c.kind).filter_by(name=name)
    with database.transaction(engine) as connection:
        found = connection.execute(known).first()
        if found is None:
            connection.execute(new)
            found = connection.execute(known).one()
    if found.kind == BEGUN:
        raise ConfigurationError(
            f"The removal of {name!r} was interrupted: a part of it is gone.",
            hint=f"Finish it first: sentiment-worker sources remove {shlex.quote(name)}",
        )
    if found.kind != kind:
        raise ConfigurationError(
            f"{name!r} was stored as kind {found.kind}; its configuration now says {kind}.",
            hint=f"Give it another name; or begin anew: sentiment-worker sources remove"
            f" {shlex.quote(name)}",
        )
    return int(found.id)


class PostgresLedger:
    """`worker.ports.Ledger` over PostgreSQL."""

    def __init__(
        self, engine: Engine, *, worker: str, patience_s: float, lease_s: float = 120.0
    ) -> None:
        self._engine = engine
        self._holds = Holds(engine, worker=worker, patience_s=patience_s, lease_s=lease_s)
        self._worker = worker
        self._patience_s = patience_s

    def source_id(self, name: str, kind: str) -> int:
        """The id of a source, registered on first sight."""
        register = partial(register_source, self._engine, name, kind)
        return database.retrying(register, patience_s=self._patience_s)

    def exclusive(
        self, lane: Lane, name: str, *, hold_s: float | None = None
    ) -> AbstractContextManager[None]:
        """Hold the lane against every other run, in any process; see `Holds`. Raises SourceBusy."""
        return self._holds.exclusive(lane, name, hold_s=hold_s)

    def start(self, lane: Lane, trigger: str, due_at: datetime | None = None) -> int:
        """Open a run. Call it under `exclusive`: what still says "running" is then lost, and
        whoever holds a lease is gone, so its chunks are free at once."""
        lost = (
            sa.update(RUN)
            .where(
                RUN.c.source_id == lane.source_id,
                RUN.c.lane == lane.backfill_id,
                RUN.c.state == RunState.RUNNING,
            )
            .values(
                state=RunState.LOST,
                finished_at=RUN.c.heartbeat_at,
                error="The process ended, or slept, without a word; its chunks are free again.",
            )
        )
        freed = _FREED.where(
            CHUNK.c.source_id == lane.source_id,
            CHUNK.c.lane == lane.backfill_id,
            CHUNK.c.leased_by.is_not(None),
        )
        opened = (
            sa.insert(RUN)
            .values(
                source_id=lane.source_id,
                lane=lane.backfill_id,
                trigger=trigger,
                worker=self._worker,
                due_at=due_at,
            )
            .returning(RUN.c.id)
        )

        def write() -> int:
            with database.transaction(self._engine) as connection:
                free = connection.execute(freed).rowcount  # chunks, then runs: as everywhere
                connection.execute(lost)
                run_id = int(connection.execute(opened).scalar_one())
            if free:
                log.info("leases.freed", lane=list(lane), chunks=free)
            return run_id

        return database.retrying(write, patience_s=self._patience_s)

    def proven_concurrency(self, lane: Lane) -> int | None:
        """How many calls at once the source's last run that made some was allowed at its end; half
        of that if any was throttled: others use the function too."""
        proven = sa.case((RUN.c.throttled > 0, RUN.c.concurrency / 2), else_=RUN.c.concurrency)
        statement = (
            sa.select(sa.cast(proven, sa.Integer))
            .where(RUN.c.source_id == lane.source_id, RUN.c.concurrency.is_not(None))
            .order_by(RUN.c.started_at.desc())
            .limit(1)
        )

        def read() -> int | None:
            with database.transaction(self._engine) as connection:
                return connection.scalar(statement)

        return database.retrying(read, patience_s=self._patience_s)

    def last_heard_of(self, lane: Lane) -> tuple[datetime, datetime] | None:
        """When the lane's last run ended, or was heard of last, or a time was noted as missed; and
        now. Both by the database's clock: the process's own may be set on or back."""
        statement = (
            sa.select(sa.func.coalesce(RUN.c.finished_at, RUN.c.heartbeat_at), sa.func.now())
            .where(RUN.c.source_id == lane.source_id, RUN.c.lane == lane.backfill_id)
            .where(RUN.c.trigger != Trigger.DRAIN)
            .order_by(RUN.c.started_at.desc())
            .limit(1)
        )
        with database.transaction(self._engine) as connection:
            found = connection.execute(statement).tuples().first()
            return (found[0], found[1]) if found else None

    def missed(self, lane: Lane, due_at: datetime, why: str) -> None:
        """A row for a run that did not happen; the same reason again makes no second row."""
        last = (
            sa.select(RUN.c.id, RUN.c.state, RUN.c.error)
            .where(RUN.c.source_id == lane.source_id, RUN.c.lane == lane.backfill_id)
            .order_by(RUN.c.id.desc())
            .limit(1)
        )
        now = sa.func.now()
        with database.transaction(self._engine) as connection:
            found = connection.execute(last).first()
            if found and found.state == RunState.MISSED and found.error == why:
                again = sa.update(RUN).where(RUN.c.id == found.id).values(finished_at=now)
                connection.execute(again)
                return
            connection.execute(
                sa.insert(RUN).values(
                    source_id=lane.source_id,
                    lane=lane.backfill_id,
                    trigger=Trigger.SCHEDULE,
                    state=RunState.MISSED,
                    worker=self._worker,
                    finished_at=now,
                    due_at=due_at,
                    error=why,
                )
            )

    def warn(self, run_id: int, warnings: Sequence[str], remark: Remark | None) -> None:
        """Keep with a run what was unlike the last weeks, and what its source remarked."""
        noted = sa.update(RUN).where(RUN.c.id == run_id)
        with database.transaction(self._engine) as connection:
            connection.execute(
                noted.values(
                    warnings=list(warnings),
                    waiting_s=remark.waiting_s if remark else None,
                    found_nothing=bool(remark and remark.found_nothing),
                )
            )

    def finish(
        self, run_id: int, state: str, error: str | None, concurrency: int | None = None
    ) -> Counters:
        """Close a run and return its counters as the database holds them; `concurrency` is kept of
        one that made calls. What this process still has leased of the lane (it was stopped while a
        transaction was under way) is free at once. Raises TakenOver for a run that was taken over
        meanwhile and stays lost, unless it failed."""
        lost = RUN.c.state == RunState.LOST
        statement = (
            sa.update(RUN)
            .where(RUN.c.id == run_id)
            .values(
                state=sa.case((lost, RUN.c.state), else_=state),
                error=sa.case((lost, RUN.c.error), else_=error),
                finished_at=sa.case((lost, RUN.c.finished_at), else_=sa.func.now()),
                concurrency=sa.case((RUN.c.invocations > 0, sa.cast(concurrency, sa.SmallInteger))),
            )
            .returning(RUN.c.state, *(RUN.c[name] for name in Counters.__dataclass_fields__))
        )
        freed = _FREED.where(
            RUN.c.id == run_id,
            CHUNK.c.source_id == RUN.c.source_id,
            CHUNK.c.lane == RUN.c.lane,
            CHUNK.c.leased_by == self._worker,
        )

        def write() -> Counters:
            with database.transaction(self._engine) as connection:
                connection.execute(freed)  # chunks, then runs: as everywhere
                found = connection.execute(statement).mappings().one_or_none()
            if found is None:
                raise TakenOver(
                    "The run's row is gone: the database lost it, or somebody removed the source.",
                    hint="Nothing is lost: what it read is read again where it is missing.",
                )
            ended = dict(found)
            if ended.pop("state") == RunState.LOST and state != RunState.FAILED:
                raise TakenOver(
                    "Another process has taken over this run, which was silent for a lease.",
                    hint="Nothing is lost: what it had in hand is scored by the other.",
                )
            return Counters(**ended)

        return database.retrying(write, patience_s=self._patience_s)

    def roll_up(self) -> None:
        """Bring `daily` up to date with what runs have changed."""
        rollup.fold(self._engine)
