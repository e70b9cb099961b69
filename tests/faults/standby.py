"""A primary and the standby that takes over from it: streaming replication on this machine."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.faults.server import Server
from worker.local import host, postgres


class Pair(Server):
    """Two servers behind one URL that names both: a client finds the one that takes writes.

    At first there is no standby; `follow` makes one.
    """

    def __init__(self, home: Path) -> None:
        self._homes = [home / "a", home / "b"]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._primary = self._stack.enter_context(Server(self._homes[0]))
        self._sockets = [str(postgres._Server(home)._sockets) for home in self._homes]
        self.url = self.named(postgres.DATABASE)
        return self

    def follow(self, *, synchronous: bool) -> None:
        """Make a standby, anew from the primary's files. Synchronous, no commit is acknowledged
        before the standby has it."""
        follower, followed = (
            (self._homes[1], self._sockets[0])
            if self._primary.socket.parent == Path(self._sockets[0])
            else (self._homes[0], self._sockets[1])
        )
        shutil.rmtree(follower, ignore_errors=True)
        follower.mkdir(mode=0o755)
        copy = postgres._Server(follower)
        host.own(copy._base, copy._account, os.geteuid())
        copy._run(
            *("pg_basebackup", "-D", copy._data, "-h", followed, "-U", postgres.SUPERUSER),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        )
        self._standby = self._stack.enter_context(Server(follower))
        _set(self._primary, "synchronous_standby_names", "*" if synchronous else "")
        state = "sync" if synchronous else "async"
        self._wait_until(f"state = 'streaming' AND sync_state = '{state}'")

    def cut_off(self) -> None:
        """The standby has all that is acknowledged now, and nothing of what comes after."""
        with self._primary.connect("postgres") as primary:
            ((here,),) = primary.execute("SELECT pg_current_wal_lsn()::text").fetchall()
        self._wait_until(f"flush_lsn >= '{here}'")
        _set(self._standby, "primary_conninfo", "")
        self._wait_until("count(*) = 0")

    def crash(self) -> float:
        """The primary is gone for good, the standby takes over. Returns for how many seconds nobody
        took writes."""
        started = time.monotonic()
        self._primary.stop()
        with self._standby.connect("postgres") as standby:
            standby.execute("SELECT pg_promote()")
        _set(self._standby, "synchronous_standby_names", "")  # else it waits: there is none
        self._primary = self._standby
        return time.monotonic() - started

    def named(self, name: str) -> str:
        hosts = "&".join(f"host={folder}" for folder in self._sockets)
        return f"postgresql://{postgres.SUPERUSER}@/{name}?{hosts}&target_session_attrs=read-write"

    def connect(self, name: str) -> psycopg.Connection[Any]:
        return self._primary.connect(name)

    def _wait_until(self, condition: str) -> None:
        """Of pg_stat_replication on the primary."""
        sql = f"SELECT bool_or(q.ok) FROM (SELECT {condition} AS ok FROM pg_stat_replication) q"
        deadline = time.monotonic() + 30
        with self._primary.connect("postgres") as primary:
            while primary.execute(sql.encode()).fetchall() != [(True,)]:
                assert time.monotonic() < deadline, f"it did not come to {condition}"
                time.sleep(0.02)


def _set(server: Server, name: str, value: str) -> None:
    with server.connect("postgres") as connection:
        connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        connection.execute("SELECT pg_reload_conf()")
