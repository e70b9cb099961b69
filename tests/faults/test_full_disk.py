"""A disk that fills, and has room again: under the log, an export, and the embedded PostgreSQL."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.command import COMMAND, Done, Shell
from tests.faults.conftest import Note
from tests.faults.endpoint import FaultyLambda
from tests.faults.world import World

pytestmark = pytest.mark.timeout(300)

LIMIT = 32 * 1024
"""Bytes of a file, where a limit of the process stands for the disk: it needs no rights."""

LIMITED = (
    "import os, resource, sys; _, most = resource.getrlimit(resource.RLIMIT_FSIZE);"
    f" resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, most));"
    " os.execv(sys.argv[1], sys.argv[1:])"
)


def within_the_limit(shell: Shell, *arguments: object) -> Done:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, COMMAND, *map(str, arguments)],
        cwd=shell.folder,
        env=shell.variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet", ".xlsx"])
def test_an_export_leaves_what_was_there_and_nothing_of_its_own(
    world: World, tmp_path: Path, ending: str
) -> None:
    world.configure("review")
    world.fill(3_000)
    world.settle()
    folder = tmp_path / "exports"
    folder.mkdir()
    target = folder / f"scores{ending}"
    target.write_text("what was there before")
    done = within_the_limit(world.shell, "scores", "--config", world.config, "--export", target)
    assert done.code == 2, done.err
    assert "cannot be written" in done.err
    assert "Traceback" not in done.err
    assert target.read_text() == "what was there before"
    assert [path.name for path in folder.iterdir()] == [target.name], "texts were left behind"


def test_the_log_goes_on_when_there_is_room_again(world: World, note: Note) -> None:
    world.configure("review")
    log = world.shell.folder / "log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", LIMITED, COMMAND, "serve", "--config", world.config],
            cwd=world.shell.folder,
            env=world.shell.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    try:
        world.fill(3_000)
        world.wait_until(lambda: log.stat().st_size == LIMIT)
        world.fill(1_000)
        world.wait_until(lambda: world.count("sentiment.score") == 4_000)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        world.fill(10)
        world.wait_until(lambda: world.count("sentiment.score") == 4_010)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    truth = world.truth("review")
    lines = log.read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    note(
        "3",
        "the disk under the log full, then not",
        f"{truth}; {len(lines)} lines, each whole",
        "0/0, no half line",
    )
    assert truth.clean
    assert events[-1] == "serve.stopped"


def may_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None


class Disk:
    """A small disk in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 65_536):
                    pass
            except OSError:
                return

    def make_room(self) -> None:
        self._filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=300m", self.folder], check=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    folder.mkdir()
    options = f"size={megabytes}m,mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class Reviews:
    """A file that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        path.write_text("id,text\n")

    def add(self, rows: int) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{n},text {n} is good\n" for n in range(self.count, self.count + rows))
        self.count += rows


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk needs root")
@pytest.mark.parametrize("what", ["tables", "wal"])
def test_the_embedded_postgresql_comes_back_with_its_disk(
    what: str, open_folder: Path, endpoint: FaultyLambda, note: Note
) -> None:
    """A full disk under the tables refuses statements; under the log (WAL) it ends the server."""
    shell = Shell(
        open_folder,
        SENTIMENT_HOME=str(open_folder / "home"),
        SENTIMENT_HTTP="off",
        AWS_ENDPOINT_URL_LAMBDA=endpoint.url,
        AWS_REGION="local",
        LAMBDA_TIMEOUT="1",
        SENTIMENT_CIRCUIT_WINDOW="1s",
        SENTIMENT_LEASE="3s",
    )
    reviews = Reviews(open_folder / "reviews.csv")
    config = open_folder / "config.toml"
    config.write_text(
        f'[[source]]\nname = "reviews"\nkind = "file"\npath = "{reviews.path}"\nevery = "1s"\n'
    )
    log = open_folder / "started.log"
    with small_disk(open_folder / "small", 56 if what == "wal" else 100) as disk:
        if what == "tables":
            shell.variables["SENTIMENT_HOME"] = str(disk.folder / "home")
        reviews.add(100)
        assert shell("once", "--config", config).code == 0
        if what == "wal":
            move(open_folder / "home/postgres/data/pg_wal", disk.folder / "pg_wal")
        sign = "did not come up" if what == "wal" else "No space left on device"
        with shell.started("serve", "--config", config) as process:
            until(lambda: "run.finished" in log.read_text())
            disk.fill()
            until(lambda: sign in log.read_text(), meanwhile=lambda: reviews.add(2_000))
            assert process.poll() is None
            started, seen = time.monotonic(), len(log.read_text())
            disk.make_room()
            until(lambda: '"state": "done"' in log.read_text()[seen:])
            seconds = time.monotonic() - started
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0
        once = shell("once", "--config", config)
        counted = shell(
            *("sql", "--config", config, "--output", "json"),
            "SELECT count(*) AS records, count(DISTINCT external_id) AS ids,"
            " count(*) FILTER (WHERE NOT provisional) AS final FROM analytics.current_sentiment",
        )
        assert once.code == 0, once.err
        assert counted.code == 0, counted.err
    note(
        "3",
        f"the disk under the embedded PostgreSQL's {what} full under serve, then not",
        f"works again after {seconds:.1f} s; {counted.data[0]['final']:,} of {reviews.count:,}"
        " records scored by the model",
        "by itself, all",
    )
    assert set(counted.data[0].values()) == {reviews.count}


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One that the account may enter that root lends PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="sentiment-worker-disk-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def move(folder: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", folder, to], check=True)
    shutil.rmtree(folder)
    folder.symlink_to(to)


def until(condition: Callable[[], bool], *, meanwhile: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        meanwhile()
        time.sleep(0.5)
