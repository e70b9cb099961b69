"""A clock that goes fast, for a database and for workers together:

    python -m tests.faults.fast FACTOR serve --config x.toml

libfaketime makes clocks fast, monotonic ones too, and sleeps not: here the loop's waits are as much
shorter. It counts from the start of each process, so a later one gets another offset; that is as
exact as a process is quick to start (some 10 ms, times the factor). What PostgreSQL, the Lambda and
the threads take is as long as ever, so to this clock it is longer by the factor.
"""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import libfaketime
import psycopg

from tests.faults.server import Server
from worker.cli import main


class Clock:
    """Shows `begin` now."""

    def __init__(self, folder: Path, begin: datetime, factor: int) -> None:
        vendored = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
        self._library = folder / vendored.name  # where the account lent to PostgreSQL can read it
        shutil.copyfile(vendored, self._library)
        self._library.chmod(0o755)
        self._begin, self._factor, self._started = begin, factor, time.time()

    def now(self) -> datetime:
        elapsed = (time.time() - self._started) * self._factor
        return datetime.fromtimestamp(self._begin.timestamp() + elapsed, UTC)

    def variables(self) -> dict[str, str]:
        """For a process that starts at once."""
        offset = self.now().timestamp() - time.time()
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME": f"{offset:+.3f} x{self._factor}",
            "NO_FAKE_STAT": "1",
        }


class FastServer(Server):
    """The embedded server, by this clock; it is not the embedded one's to start and stop."""

    def __init__(self, home: Path, clock: Clock) -> None:
        super().__init__(home)
        self._clock = clock

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # made, and stopped again
            self._stack = stack
            super().__enter__()
            with self.connect("postgres") as connection:
                query = "SELECT setting FROM pg_config WHERE name = 'BINDIR'"
                found: Any = connection.execute(query).fetchone()
        owner, command = (
            self._data.stat(),
            [str(Path(found[0]) / "postgres"), "-D", str(self._data)],
        )
        self._process = subprocess.Popen(
            [*command, "-c", "listen_addresses=", "-k", str(self.socket.parent)],
            env={"PATH": os.environ["PATH"], "TZ": "UTC"} | self._clock.variables(),
            user=owner.st_uid if os.geteuid() == 0 else None,
            group=owner.st_gid if os.geteuid() == 0 else None,
            extra_groups=() if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.connect("postgres").close()
                return self
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the fast PostgreSQL does not answer"
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def hurry(factor: int) -> None:
    """Let event loops wait for as much shorter."""
    wait = selectors.DefaultSelector.select

    def select(self: Any, timeout: float | None = None) -> Any:
        return wait(self, timeout / factor if timeout else timeout)

    selectors.DefaultSelector.select = select  # type: ignore[method-assign]


if __name__ == "__main__":
    hurry(int(sys.argv[1]))
    sys.argv = ["sentiment-worker", *sys.argv[2:]]
    main()
