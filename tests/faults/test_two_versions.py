"""Two versions at once: the database is migrated while workers of another version are at work."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg
import pytest

from tests.faults import mix
from tests.faults.conftest import Note, Scale
from tests.faults.world import Workers, World
from tests.next_version import migrated_by_the_next_version
from worker.store import database, migrate

pytestmark = pytest.mark.timeout(3600)


def test_workers_of_the_version_before_go_on(
    world: World, tmp_path: Path, scale: Scale, note: Note
) -> None:
    """The next version migrates the database under them; killed, they come back and go on."""
    engine = database.make_engine(world.url, application="tests")
    kills = scale.of(4, 60)
    world.endpoint.faults = mix.MIX
    with Workers(world, 2) as workers, world.writers(3, rows=scale.of(2_000, 20_000), pause_s=0.02):
        world.wait_until(lambda: world.count("sentiment.score") > 0)
        oldest = f'oldest_worker = "{migrate.state(engine).head}"'
        migrated_by_the_next_version(engine, tmp_path / "next", oldest)
        scored = world.count("sentiment.score")
        while workers.kills < kills:
            time.sleep(world.rng.uniform(0.2, 1.5))
            workers.kill(workers.kills % 2)
        world.wait_until(lambda: world.count("sentiment.score") > scored)
    world.settle()
    engine.dispose()
    truth = world.truth()
    note(
        "20",
        f"the next version's migration under 2 workers of this one, 3 writers, {kills} kill -9",
        str(truth),
        "0/0/0",
    )
    assert truth.clean, truth


def test_a_worker_of_the_next_version_waits_for_the_migration(world: World, note: Note) -> None:
    """Under a running `serve` the schema is the version before's for a while."""
    engine = database.make_engine(world.url, application="tests")
    with Workers(world, 1), world.writers(2, rows=2_000, pause_s=0.02):
        world.wait_until(lambda: world.count("sentiment.score") > 0)
        migrate.downgrade(engine, "0013")
        refused = world.once()
        assert (refused.code, "Run: sentiment-worker db upgrade" in refused.err) == (2, True)
        time.sleep(2)
        assert world.shell("db", "upgrade").code == 0
        scored = world.count("sentiment.score")
        world.wait_until(lambda: world.count("sentiment.score") > scored)
    world.settle()
    engine.dispose()
    truth = world.truth()
    note("20", "this version's worker on the schema before, then migrated", str(truth), "0/0/0")
    assert truth.clean, truth


def test_the_workers_role_writes_on_while_a_migration_waits(world: World, note: Note) -> None:
    """An index made CONCURRENTLY waits for the oldest snapshot, and so long the step before, which
    made tables and triggers that write to them, stands alone."""
    world.fill(200)
    world.settle()
    engine = database.make_engine(world.url, application="tests")
    migrate.downgrade(engine, "0008")
    engine.dispose()
    stop, ready, refused = threading.Event(), threading.Event(), []

    def write() -> None:
        with world.connect() as connection:
            connection.execute("SET ROLE sentiment_worker")
            while not stop.wait(0.02):
                try:
                    with connection.transaction(force_rollback=True):
                        connection.execute("UPDATE sentiment.record SET author = 'x' WHERE id = 1")
                except psycopg.errors.InsufficientPrivilege as error:
                    refused.append((time.monotonic(), str(error).splitlines()[0]))

    def read() -> None:
        with world.connect() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT count(*) FROM public.review")
            ready.set()
            time.sleep(4)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    ready.wait()
    done = world.shell("db", "upgrade")
    stop.set()
    for thread in threads:
        thread.join()
    assert done.code == 0, done.err
    seconds = refused[-1][0] - refused[0][0] if refused else 0.0
    note(
        "15",
        "db upgrade from 0008 beside a transaction of 4 s; a worker's role writes",
        f"refused for {seconds:.1f} s",
        "never refused",
    )
    assert not refused, refused[0]
