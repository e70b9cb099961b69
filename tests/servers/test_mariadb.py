"""MariaDB and SQLite as sources: written to, cut off and crashed while they are read."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.faults.conftest import Note, Scale
from tests.faults.world import Workers, World
from tests.servers.maria import Maria, MariaWriters

pytestmark = [
    pytest.mark.timeout(3600),
    # pymysql leaves the socket of a server that dies while it is greeted.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

_TABLES = (
    "CREATE TABLE by_id (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, body text NOT NULL)",
    (
        "CREATE TABLE by_time (id bigint AUTO_INCREMENT PRIMARY KEY, body text NOT NULL,"
        " updated_at datetime(6) NOT NULL DEFAULT now(6) ON UPDATE now(6), KEY (updated_at, id))"
    ),
    "CREATE TABLE writer (id bigint)",
)


@pytest.fixture
def maria() -> Iterator[Maria]:
    with Maria() as maria:
        maria.run(*_TABLES)
        yield maria


def _sources(world: World, url: str, id_overlap: int, time_overlap: str) -> None:
    """Two: one reads in the order of ids, the other in that of times."""
    world.config.write_text(
        "".join(
            f'[[source]]\nname = "{name}"\nkind = "sql"\nurl = "{url}"\ntable = "{name}"\n'
            f'text = "body"\ncursor = "{cursor}"\ntie_breaker = "id"\noverlap = {overlap}\n'
            'every = "1s"\ntimezone = "UTC"\n'
            for name, cursor, overlap in (
                ("by_id", "id", id_overlap),
                ("by_time", "updated_at", f'"{time_overlap}"'),
            )
        ),
        encoding="utf-8",
    )


def _held(maria: Maria) -> dict[tuple[str, str], str]:
    return {
        (table, str(id_)): body
        for table in ("by_id", "by_time")
        for id_, body in maria.run(f"SELECT id, body FROM {table}")
    }


def test_mariadb_under_writers(world: World, maria: Maria, scale: Scale, note: Note) -> None:
    """Workers are killed, their connections cut in the middle of a page, the server crashed."""
    _sources(world, maria.url, id_overlap=5_000, time_overlap="10s")
    rng, harms, cut = world.rng, scale.of(8, 200), 0
    with Workers(world, 2) as workers, MariaWriters(maria, 3, rng) as writers:
        world.wait_until(lambda: world.count("sentiment.record") > 0)
        for n in range(harms):
            time.sleep(rng.uniform(0.1, 2.0))
            workers.kill(rng.randrange(2))
            deadline = time.monotonic() + 2
            while n % 2 and not (now := maria.cut_readers()) and time.monotonic() < deadline:
                time.sleep(0.005)
            cut += now if n % 2 else 0
            if n % 4 == 3:
                maria.crash()
        committed = writers.committed
    world.settle()
    truth = world.truth_of(_held(maria))
    note(
        "18",
        f"MariaDB: {workers.kills} kill -9 of 2 workers, {cut} connections cut, the server crashed"
        f" {harms // 4} times; 3 writers that commit late, rewrite or roll back",
        str(truth),
        "0/0/0",
    )
    assert committed > 0
    assert cut > 0
    assert truth.clean, truth


_WRITER = """
import random, sqlite3, sys, time
path, seed = sys.argv[1:]
rng = random.Random(seed)
app = sqlite3.connect(path, timeout=30, isolation_level=None)
while True:
    app.execute("BEGIN IMMEDIATE")
    table = rng.choice(("by_id", "by_time"))
    rows = [(f"text {rng.getrandbits(60):x} said {n}",) for n in range(rng.randint(1, 40))]
    app.executemany(f"INSERT INTO {table} (body) VALUES (?)", rows)
    if table == "by_time":
        app.execute("UPDATE by_time SET body = body || '!', updated_at = datetime()"
                    " WHERE id IN (SELECT id FROM by_time ORDER BY random() LIMIT 3)")
    time.sleep(rng.choice((0, 0, 0.05, 0.5)))
    app.execute("ROLLBACK" if rng.random() < 0.2 else "COMMIT")
    if rng.random() < 0.2:  # for longer than a reader waits
        app.execute("BEGIN EXCLUSIVE")
        time.sleep(1)
        app.execute("COMMIT")
    time.sleep(rng.uniform(0.05, 0.3))
"""


@contextmanager
def _sqlite_writers(path: Path, count: int, rng: Random) -> Iterator[None]:
    """Processes: SQLite's locks are between those. They are killed, as applications are."""
    seeds = [str(rng.randrange(1 << 30)) for _ in range(count)]
    started = [subprocess.Popen([sys.executable, "-c", _WRITER, path, seed]) for seed in seeds]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_sqlite_under_writers(world: World, mode: str, scale: Scale, note: Note) -> None:
    path = world.shell.folder / "app.db"
    with contextlib.closing(sqlite3.connect(path)) as app:
        app.execute(f"PRAGMA journal_mode = {mode}")
        app.execute("CREATE TABLE by_id (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        app.execute("CREATE TABLE by_time (id INTEGER PRIMARY KEY, body TEXT NOT NULL,"
                    " updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP)")  # fmt: skip
    _sources(world, f"sqlite:///{path}?timeout=0.3", id_overlap=1_000, time_overlap="10s")
    kills = scale.of(4, 100)
    with Workers(world, 1) as workers, _sqlite_writers(path, 2, world.rng):
        while workers.kills < kills:
            time.sleep(world.rng.uniform(0.5, 3.5))
            workers.kill(0)
    world.settle()
    with contextlib.closing(sqlite3.connect(path)) as app:
        held = {
            (table, str(id_)): body
            for table in ("by_id", "by_time")
            for id_, body in app.execute(f"SELECT id, body FROM {table}")
        }
    truth = world.truth_of(held)
    locked = world.config.with_suffix(".log").read_text().count("database is locked")
    note(
        "18",
        f"SQLite ({mode}): {kills} kill -9 of a worker, 2 writers that hold their locks",
        f"{truth}; locked out {locked} times",
        "0/0/0",
    )
    assert truth.clean, truth


def test_a_locked_sqlite_is_transient(world: World) -> None:
    path = world.shell.folder / "app.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as app:
        app.execute("CREATE TABLE by_id (id INTEGER PRIMARY KEY, body TEXT)")
        app.execute("CREATE TABLE by_time (id INTEGER PRIMARY KEY, body TEXT, updated_at DATETIME)")
        app.execute("INSERT INTO by_id VALUES (1, 'text 1')")
        _sources(world, f"sqlite:///{path}", id_overlap=1_000, time_overlap="10s")
        app.execute("BEGIN EXCLUSIVE")
        locked = world.once("--source", "by_id")
        assert locked.code == 1, locked.err
        assert "database is locked" in locked.err
        app.execute("COMMIT")
    world.settle()
    assert world.truth_of({("by_id", "1"): "text 1"}).clean


@pytest.mark.parametrize(
    ("kind", "deleted"), [("bit(1) NOT NULL DEFAULT 0", "1"), ("datetime NULL", "now()")]
)
def test_rows_that_mariadb_marks_as_deleted_or_deletes(
    world: World, maria: Maria, kind: str, deleted: str
) -> None:
    maria.run(
        f"CREATE TABLE marked (id bigint PRIMARY KEY, body text NOT NULL, gone {kind},"
        " updated_at datetime(6) NOT NULL DEFAULT now(6) ON UPDATE now(6))",
        *(f"INSERT INTO marked (id, body) VALUES ({n}, 'text {n} is good')" for n in range(20)),
    )
    world.config.write_text(
        f'[[source]]\nname = "marked"\nkind = "sql"\nurl = "{maria.url}"\ntable = "marked"\n'
        'text = "body"\ncursor = "updated_at"\noverlap = "1h"\ntimezone = "UTC"\n'
        'deleted = "gone"\ndeletes = "scan"\n',
        encoding="utf-8",
    )
    assert world.once().code == 0
    assert world.count("analytics.current_sentiment") == 20
    maria.run(f"UPDATE marked SET gone = {deleted} WHERE id = 3")
    assert world.once().code == 0
    assert world.rows("SELECT external_id FROM analytics.gone") == [("3",)]
    maria.run("DELETE FROM marked WHERE id IN (4, 5)")
    done = world.shell("sources", "scan", "marked", "--config", world.config)
    assert done.code == 0, done.err
    assert world.count("analytics.current_sentiment") == 17
