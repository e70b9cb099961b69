"""Who may run a lane: one process at a time, whatever is between it and PostgreSQL.

A lane is held by a row with an end, which the run's heartbeat moves on; all by the database's
clock. Over a session of its own the holder has an advisory lock too. PostgreSQL lets go of that
when the process dies, so what a killed process held is free at once and not after a lease.

Correctness does not hang on any of it (cursor versions and fences see to that); it spares two runs
from doing the same work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.engine import Connection

from worker.errors import SourceBusy, WorkerError
from worker.log import get_logger
from worker.records import Lane
from worker.states import RunState
from worker.store import database
from worker.store.driver import Cursor

log = get_logger(__name__)

_LOCK_SPACES = (0x53454E54, 0x53454E55)
"""Advisory locks are one space a database; "SENT" keeps ours apart from others'. One for sources,
one for backfills."""

_LOCKED = """
    l.locktype = 'advisory' AND l.classid = :space AND l.objid = :id AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# A process that is frozen, or cut off, keeps its sessions, and with them the lane's lock and
# whatever a transaction of its had locked. Once its own lease is over, and its run has not been
# heard of for ours, they are all ended; what it still writes is refused by fences.
_EVICT = f"""
WITH holder AS MATERIALIZED (
    SELECT a.pid, a.application_name
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE {_LOCKED}
      AND greatest(a.state_change, (
          SELECT max(heartbeat_at) FROM sentiment.run
          WHERE source_id = :source AND lane = :lane AND state = :running
      )) < now() - :lease_s * interval '1 second'
      AND NOT EXISTS (
          SELECT FROM sentiment.hold h
          WHERE h.source_id = :source AND h.lane = :lane
            AND h.until > now() AND h.holder <> :worker)
)
SELECT pg_terminate_backend(a.pid, 1000)
FROM holder JOIN pg_stat_activity a
    ON a.pid = holder.pid OR a.application_name = holder.application_name
WHERE a.datname = current_database()
  AND a.usesysid = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND a.application_name LIKE 'sentiment-worker %'
  -- Of our own name only what a cut network left behind: it is silent, and holds something.
  AND (a.application_name <> current_setting('application_name') OR (
      a.pid <> pg_backend_pid() AND (a.pid = holder.pid OR a.state LIKE 'idle in transaction%')
      AND a.state_change < now() - :lease_s * interval '1 second'))
"""  # noqa: S608  only _LOCKED goes in

# Nobody takes a lane whose lock another session has: workers of 0013 have nothing else. A holder
# that had the lock and has lost it is dead.
_TAKE = f"""
INSERT INTO sentiment.hold AS h (source_id, lane, holder, by_session, until)
SELECT :source, :lane, :worker, :by_session, now() + :lease_s * interval '1 second'
WHERE NOT EXISTS (SELECT FROM pg_locks l WHERE {_LOCKED} AND l.pid <> pg_backend_pid())
ON CONFLICT (source_id, lane) DO UPDATE
SET holder = excluded.holder, by_session = excluded.by_session, until = excluded.until
WHERE h.until <= now() OR h.holder = excluded.holder OR h.by_session
RETURNING true
"""  # noqa: S608  as above

_HOLDER = """
SELECT holder, by_session, to_char(until AT TIME ZONE 'UTC', 'HH24:MI:SS') AS until
FROM sentiment.hold WHERE source_id = :source AND lane = :lane AND until > now()
"""

_DROP = """
UPDATE sentiment.hold SET until = now()
WHERE source_id = :source AND lane = :lane AND holder = :worker
"""

# A lock that is gone while its holder lives (somebody ended the session) protects nothing more:
# from here on the row alone does.
_KEEP = """
UPDATE sentiment.hold h
SET until = now() + %(lease_s)s * interval '1 second',
    by_session = h.by_session AND EXISTS (
        SELECT FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted
          AND l.classid = (CASE WHEN h.lane > 0 THEN %(backfills)s ELSE %(sources)s END)::oid
          AND l.objid = (CASE WHEN h.lane > 0 THEN h.lane ELSE h.source_id END)::oid
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
FROM sentiment.run r
WHERE r.id = %(run)s AND h.source_id = r.source_id AND h.lane = r.lane AND h.holder = r.worker
"""


class Holds:
    """Takes lanes for this worker."""

    def __init__(
        self, engine: Engine, *, worker: str, patience_s: float, lease_s: float = 120.0
    ) -> None:
        # A lock is held as long as its run.
        self._sessions = database.unpooled(engine, application=f"sentiment-worker {worker}")
        self._worker = worker
        self._patience_s = patience_s
        self._lease_s = lease_s

    @contextmanager
    def exclusive(self, lane: Lane, name: str, *, hold_s: float | None = None) -> Iterator[None]:
        """Hold the lane against every other run, in any process. Raises SourceBusy.

        A run's heartbeat holds it for another lease each time. What has no heartbeat says for how
        long it holds it at most: it matters where a pooler shares the sessions.
        """
        connection = database.retrying(self._session, patience_s=self._patience_s)
        with connection:
            if not self._take(connection, lane, hold_s or self._lease_s):
                raise self._busy(connection, lane, name)
            try:
                yield
            finally:
                self._drop(connection, lane)

    def _session(self) -> Connection:
        with database.translated():
            return self._sessions.connect().execution_options(isolation_level="AUTOCOMMIT")

    @cached_property
    def _by_session(self) -> bool:
        shared = database.shares_sessions(self._sessions)
        if shared:
            log.warning("database.pooled", what=database.SHARED, advice=database.SHARED_ADVICE)
        return not shared

    def _take(self, connection: Connection, lane: Lane, hold_s: float) -> bool:
        with database.translated():
            if self._has_taken(connection, lane, hold_s):
                return True
            connection.execute(sa.text(_EVICT), self._about(lane) | {"running": RunState.RUNNING})
            taken = self._has_taken(connection, lane, hold_s)
        if taken:
            log.warning("source.taken_over", lane=list(lane), silent_for_s=self._lease_s)
        return taken

    def _has_taken(self, connection: Connection, lane: Lane, hold_s: float) -> bool:
        about = self._about(lane) | {"lease_s": hold_s}
        lock = sa.text("SELECT pg_try_advisory_lock(:space, :id)")
        if self._by_session and not connection.scalar(lock, about):
            return False
        if connection.scalar(sa.text(_TAKE), about):
            return True
        self._unlock(connection, lane)
        return False

    def _unlock(self, connection: Connection, lane: Lane) -> None:
        if self._by_session:
            drop = sa.text("SELECT pg_advisory_unlock(:space, :id)")
            connection.execute(drop, self._about(lane))

    def _drop(self, connection: Connection, lane: Lane) -> None:
        drop, about = sa.text(_DROP), self._about(lane)
        try:
            connection.execute(drop, about)
            self._unlock(connection, lane)
        except sa.exc.DBAPIError:
            connection.invalidate()  # the server let go of the lock when the session ended
            # If the database is away, the row ends by itself.
            with contextlib.suppress(WorkerError), database.transaction(self._sessions) as again:
                again.execute(drop, about)

    def _busy(self, connection: Connection, lane: Lane, name: str) -> SourceBusy:
        with database.translated():
            found = connection.execute(sa.text(_HOLDER), self._about(lane)).first()
        holder = f" ({found.holder})" if found else ""
        hint = "Wait for it to end; `sentiment-worker runs` shows it."
        if found and not found.by_session:
            hint += f" If it was killed, it is free at {found.until} UTC."
        return SourceBusy(f"Another run holds {name}{holder}.", hint=hint)

    def _about(self, lane: Lane) -> dict[str, Any]:
        return {
            "source": lane.source_id,
            "lane": lane.backfill_id,
            "worker": self._worker,
            "by_session": self._by_session,
            "lease_s": self._lease_s,
            "space": _LOCK_SPACES[lane.is_backfill],
            "id": lane.backfill_id if lane.is_backfill else lane.source_id,
        }


def keep(cur: Cursor, run_id: int, lease_s: float) -> None:
    """Hold the run's lane for another lease; last in a transaction, after chunks and the run."""
    sources, backfills = _LOCK_SPACES
    about = {"run": run_id, "lease_s": lease_s, "sources": sources, "backfills": backfills}
    cur.execute(_KEEP.encode(), about)
