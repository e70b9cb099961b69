"""The database is backed up and restored, as docs/deploy.md says: a dump into another server, and
point-in-time recovery. Afterwards every total is the same, and nothing is scored twice."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Shell
from tests.acceptance.stored import stored
from tests.faults.server import Server
from tests.scripted_lambda import ScriptedLambda
from worker.local import host, postgres

NAME = "scores"

TOTALS = """
SELECT (SELECT count(*) FROM analytics.current_sentiment),
       (SELECT round(sum(polarity)::numeric, 6) FROM analytics.current_sentiment),
       (SELECT sum(records) FROM analytics.daily_sentiment),
       (SELECT count(*) FROM sentiment.score),
       (SELECT count(*) FROM sentiment.run)
"""


@pytest.fixture
def homes() -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory(prefix="sentiment-worker-backup-") as folder:
        Path(folder).chmod(0o755)
        yield [Path(folder) / "a", Path(folder) / "b"]


class Programs:
    """PostgreSQL's own, as the account that may touch its files."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o755, exist_ok=True)
        self.server = postgres._Server(home)
        host.own(self.server._base, self.server._account, os.geteuid())
        self.folder = self.server._base
        self.data = self.server._data
        self._reached = ("-h", str(self.server._sockets), "-U", postgres.SUPERUSER)

    def __call__(self, program: str, *arguments: object) -> None:
        self.server._run(program, *self._reached, *map(str, arguments))

    def file(self, path: Path, content: str) -> None:
        owner = self.folder.stat()
        path.write_text(content)
        os.chown(path, owner.st_uid, owner.st_gid)


def totals(server: Server) -> tuple[Any, ...]:
    with server.connect(NAME) as connection:
        (row,) = connection.execute(TOTALS.encode()).fetchall()
        return tuple(row)


def scored(server: Server, folder: Path, function: ScriptedLambda) -> Shell:
    with server.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {NAME}".encode())
    url = server.named(NAME)
    upgraded = Shell(folder, DATABASE_URL=url)("db", "upgrade")
    assert upgraded.code == 0, upgraded.err
    return stored(folder, url, function)


def goes_on(shell: Shell, server: Server, function: ScriptedLambda, n: int) -> None:
    """What was scored is not asked for again; what is new is."""
    before = totals(server)
    sent = len(function.texts_sent())
    with open(shell.folder / "reviews.csv", "a", encoding="utf-8") as file:
        file.write(f"new{n},a good day {n},2026-03-21T15:00:00Z,a\n")
    done = shell("once")
    assert done.code in (0, 5), done.err
    assert function.texts_sent()[sent:] == [f"a good day {n}"]
    assert totals(server)[0] == before[0] + 1


def test_a_dump_is_restored_into_another_server(homes: list[Path], tmp_path: Path) -> None:
    with ScriptedLambda() as function:
        with Server(homes[0]) as first:
            shell = scored(first, tmp_path, function)
            there = totals(first)
            asks = Programs(homes[0])
            asks("pg_dumpall", "--roles-only", "-f", asks.folder / "roles.sql")
            asks("pg_dump", "--format=custom", "-f", asks.folder / "scores.dump", NAME)
        with Server(homes[1]) as second:
            puts = Programs(homes[1])
            puts("psql", "-d", "postgres", "-q", "-f", asks.folder / "roles.sql")
            puts("createdb", NAME)
            puts("pg_restore", "--exit-on-error", "-d", NAME, asks.folder / "scores.dump")
            assert totals(second) == there
            shell.variables["DATABASE_URL"] = second.named(NAME)
            checked = shell("db", "check")
            assert checked.code == 0, checked.err
            goes_on(shell, second, function, 1)
            with second.connect(NAME) as connection:  # the rights came along
                connection.execute("SET ROLE sentiment_analyst")
                connection.execute("SELECT count(*) FROM analytics.current_sentiment")


def test_back_to_a_moment_before_a_mistake(homes: list[Path], tmp_path: Path) -> None:
    archive = homes[0].parent / "archive"
    archive.mkdir()
    archive.chmod(0o777)
    with ScriptedLambda() as function:
        with Server(homes[0]) as first:
            with first.connect("postgres") as connection:
                connection.execute("ALTER SYSTEM SET archive_mode = 'on'")
                command = f"cp %p {archive}/%f"
                connection.execute(f"ALTER SYSTEM SET archive_command = '{command}'".encode())
            first.crash()  # archive_mode wants a restart
            shell = scored(first, tmp_path, function)
            copy = Programs(homes[1])
            reached = ("-h", first.socket.parent, "-U", postgres.SUPERUSER)
            copy.server._run("pg_basebackup", *map(str, reached), "-D", str(copy.data),
                             "--checkpoint=fast", "--no-sync")  # fmt: skip
            goes_on(shell, first, function, 1)
            there = totals(first)
            with first.connect("postgres") as connection:
                ((moment,),) = connection.execute("SELECT clock_timestamp()::text").fetchall()
            time.sleep(0.5)
            removed = shell("sources", "remove", "reviews", "--yes")
            assert removed.code == 0, removed.err
            assert totals(first)[0] == 0
            with first.connect("postgres") as connection:
                connection.execute("SELECT pg_switch_wal()")
                _until(connection, "SELECT last_archived_wal IS NOT NULL AND failed_count = 0"
                                   " FROM pg_stat_archiver")  # fmt: skip
                time.sleep(1.0)  # the last segment
        with open(copy.data / "postgresql.auto.conf", encoding="utf-8") as file:
            said = file.read()
        copy.file(copy.data / "postgresql.auto.conf", said + (
            f"restore_command = 'cp {archive}/%f %p'\n"
            f"recovery_target_time = '{moment}'\n"
            "recovery_target_action = 'promote'\n"
            "archive_mode = 'off'\n"
        ))  # fmt: skip
        copy.file(copy.data / "recovery.signal", "")
        with Server(homes[1]) as second:
            with second.connect("postgres") as connection:
                _until(connection, "SELECT NOT pg_is_in_recovery()")
            assert totals(second) == there
            shell.variables["DATABASE_URL"] = second.named(NAME)
            goes_on(shell, second, function, 2)


def _until(connection: Any, question: str) -> None:
    deadline = time.monotonic() + 30
    while connection.execute(question).fetchone() != (True,):
        assert time.monotonic() < deadline, question
        time.sleep(0.1)
