"""A PostgreSQL of the fault tests' own, fsync on, that can be crashed."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from worker.local import postgres
from worker.store import database


class Server:
    """`crash` is `pg_ctl -m immediate`: no checkpoint, every session cut."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.url = self._stack.enter_context(postgres.running(self._home))
        with self.connect("postgres") as connection:
            found: Any = connection.execute("SHOW data_directory").fetchone()
            self._data = Path(found[0])
            found = connection.execute("SHOW unix_socket_directories").fetchone()
            self.socket = Path(found[0]) / ".s.PGSQL.5432"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.close()

    def stop(self) -> None:
        """As a power cut does. (The postmaster itself gives its children up to 5 s to die.)"""
        pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        while _alive(pid):
            time.sleep(0.01)

    def crash(self) -> float:
        """Returns how many seconds after its restart it answers, recovery included."""
        self.stop()
        started = time.monotonic()
        self._stack.enter_context(postgres.running(self._home))
        return time.monotonic() - started

    def named(self, name: str) -> str:
        url = database.normalise_url(self.url).set(database=name)
        return url.render_as_string(hide_password=False)

    def connect(self, name: str) -> psycopg.Connection[Any]:
        url = database.normalise_url(self.url).set(drivername="postgresql", database=name)
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A zombie is dead; only its parent, not we, can bury it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
