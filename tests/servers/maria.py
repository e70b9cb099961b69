"""A MariaDB of the tests' own, durable at each commit, that can be crashed; tables and writers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from typing import Any, Self

import pymysql

PACKAGE = "Debian's package mariadb-server"


def _program(name: str) -> str:
    """Of the PATH, or of /usr/sbin, where Debian puts servers and few have their PATH."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    assert found, f"{name} is not here: these tests need {PACKAGE} (apt-get install mariadb-server)"
    return found


class Maria:
    """On a socket in a folder of its own: no port, no other's configuration."""

    def __init__(self) -> None:
        self._install, self._server = _program("mariadb-install-db"), _program("mariadbd")
        # Not pytest's own folder: it is closed to the account that root lends the server.
        self._folder = tempfile.TemporaryDirectory(prefix="sentiment-maria-")
        self._home = Path(self._folder.name)
        self._home.chmod(0o755)
        self._account = "mysql" if os.geteuid() == 0 else str(Path("~").expanduser().owner())
        if os.geteuid() == 0:
            shutil.chown(self._home, self._account)
        self.socket = self._home / "socket"
        self.url = f"mysql+pymysql://root@localhost/app?unix_socket={self.socket}"

    def __enter__(self) -> Self:
        subprocess.run(
            [self._install, "--no-defaults", f"--user={self._account}", "--skip-test-db",
             f"--datadir={self._home / 'data'}", "--auth-root-authentication-method=normal"],
            check=True, capture_output=True,
        )  # fmt: skip
        self._start()
        with self.connect(None) as connection:
            connection.cursor().execute("CREATE DATABASE app CHARACTER SET utf8mb4")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def crash(self) -> None:
        """kill -9, and up again."""
        self._process.kill()
        self._process.wait()
        self._start()

    def connect(self, name: str | None = "app", **options: Any) -> pymysql.Connection[Any]:
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", database=name, autocommit=True, **options
        )

    def run(self, *statements: str) -> list[Any]:
        """Returns the rows of the last one."""
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def cut_readers(self) -> int:
        """KILL each connection that is not a writer's: the workers'. Returns how many."""
        reading = self.run(
            "SELECT id FROM information_schema.processlist WHERE user = 'root'"
            " AND db = 'app' AND id <> connection_id() AND id NOT IN (SELECT id FROM app.writer)"
        )
        for (number,) in reading:
            with contextlib.suppress(pymysql.MySQLError):  # it has ended by itself
                self.run(f"KILL {number}")
        return len(reading)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [self._server, "--no-defaults", f"--user={self._account}", "--skip-networking",
             f"--datadir={self._home / 'data'}", f"--socket={self.socket}",
             "--innodb-buffer-pool-size=16M", "--innodb-lock-wait-timeout=5"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            # pymysql leaves its socket open where nobody listens.
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.socket))
                self.connect(None).close()
                return
            assert self._process.poll() is None, "mariadbd ended"
            assert time.monotonic() < deadline, "mariadbd does not answer"
            time.sleep(0.05)


class MariaWriters:
    """Threads that insert (into both tables) and rewrite (in the one whose cursor is a time); some
    commit late, some roll back, and some are cut off in the middle."""

    def __init__(self, maria: Maria, count: int, rng: Random) -> None:
        self.committed = 0
        self._maria = maria
        self._stop = threading.Event()
        seeds = [rng.randrange(1 << 30) for _ in range(count)]
        self._threads = [threading.Thread(target=self._write, args=(Random(s),)) for s in seeds]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, rng: Random) -> None:
        while not self._stop.is_set():
            # A deadlock with another writer, or the server's crash: begin anew.
            with contextlib.suppress(pymysql.MySQLError), self._maria.connect() as connection:
                cursor = connection.cursor()
                cursor.execute("INSERT INTO writer VALUES (connection_id())")
                connection.autocommit(False)
                while not self._stop.is_set():
                    self._transaction(connection, rng)
            self._stop.wait(0.05)

    def _transaction(self, connection: pymysql.Connection[Any], rng: Random) -> None:
        cursor, table = connection.cursor(), rng.choice(("by_id", "by_time"))
        said = f"\N{GRINNING FACE} {rng.getrandbits(60):x} said"
        rows = [(f"{said} {n}",) for n in range(rng.randint(1, 40))]
        cursor.executemany(f"INSERT INTO {table} (body) VALUES (%s)", rows)
        if table == "by_time" and rng.random() < 0.4:
            cursor.execute("SELECT max(id) FROM by_time")
            ((highest,),) = cursor.fetchall()
            some = [(id_,) for id_ in sorted({rng.randint(1, highest or 1) for _ in range(3)})]
            cursor.executemany("UPDATE by_time SET body = concat(body, '!') WHERE id = %s", some)
        self._stop.wait(rng.choice((0, 0, 0.05, 0.5, 1.5)))  # some commit late
        if rng.random() < 0.2:
            connection.rollback()
            return
        connection.commit()
        self.committed += len(rows)
        self._stop.wait(rng.uniform(0, 0.3))
