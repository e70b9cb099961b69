"""The ledger: sources, the lock of a source, runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from worker.errors import SourceBusy
from worker.records import Counters
from worker.store import database
from worker.store.tables import RUN, SOURCE

_LOCK_SPACE = 0x53454E54
"""Advisory locks are one space a database; "SENT" keeps ours apart from others'."""


class PostgresLedger:
    """`worker.ports.Ledger` over PostgreSQL."""

    def __init__(self, engine: Engine, *, worker: str, patience_s: float) -> None:
        self._engine = engine
        self._locks = database.unpooled(engine)  # a lock is held as long as its run
        self._worker = worker
        self._patience_s = patience_s

    def source_id(self, name: str, kind: str) -> int:
        """The id of a source, registered on first sight."""
        statement = (
            insert(SOURCE)
            .values(name=name, kind=kind)
            .on_conflict_do_update(index_elements=["name"], set_={"kind": kind})
            .returning(SOURCE.c.id)
        )

        def write() -> int:
            with database.transaction(self._engine) as connection:
                found = connection.scalar(sa.select(SOURCE.c.id).filter_by(name=name, kind=kind))
                return int(found or connection.scalar(statement))

        return database.retrying(write, patience_s=self._patience_s)

    @contextmanager
    def exclusive(self, source_id: int, name: str) -> Iterator[None]:
        """Hold the source against every other run, in any process. Raises SourceBusy.

        A session lock: PostgreSQL lets go of it when this process or its connection dies.
        Correctness does not hang on it (cursor versions and fences see to that); it spares
        two runs from doing the same work.
        """
        take = sa.text("SELECT pg_try_advisory_lock(:space, :id)")
        drop = sa.text("SELECT pg_advisory_unlock(:space, :id)")
        key = {"space": _LOCK_SPACE, "id": source_id}
        connection = database.retrying(self._lock_session, patience_s=self._patience_s)
        with connection:
            with database.translated():
                held = connection.scalar(take, key)
            if not held:
                raise SourceBusy(
                    f"Another run holds the source {name!r}.",
                    hint="Wait for it to end; `sentiment-worker runs` shows it.",
                )
            try:
                yield
            finally:
                try:
                    connection.execute(drop, key)
                except sa.exc.DBAPIError:
                    connection.invalidate()  # the server let go of it when it went away

    def _lock_session(self) -> Connection:
        with database.translated():
            raw = self._locks.connect()
            return raw.execution_options(isolation_level="AUTOCOMMIT")

    def start(self, source_id: int, trigger: str) -> int:
        """Open a run. Call it under `exclusive`: what still says "running" is then lost."""
        lost = (
            sa.update(RUN)
            .where(RUN.c.source_id == source_id, RUN.c.state == "running")
            .values(
                state="lost",
                finished_at=RUN.c.heartbeat_at,
                error="The process ended without a word; its chunks came back by lease.",
            )
        )
        opened = (
            sa.insert(RUN)
            .values(source_id=source_id, trigger=trigger, worker=self._worker)
            .returning(RUN.c.id)
        )

        def write() -> int:
            with database.transaction(self._engine) as connection:
                connection.execute(lost)
                return int(connection.execute(opened).scalar_one())

        return database.retrying(write, patience_s=self._patience_s)

    def finish(self, run_id: int, state: str, error: str | None) -> Counters:
        """Close a run and return its counters as the database holds them."""
        statement = (
            sa.update(RUN)
            .where(RUN.c.id == run_id)
            .values(state=state, error=error, finished_at=sa.func.now())
            .returning(*(RUN.c[name] for name in Counters.__dataclass_fields__))
        )

        def write() -> Counters:
            with database.transaction(self._engine) as connection:
                return Counters(**connection.execute(statement).mappings().one())

        return database.retrying(write, patience_s=self._patience_s)
