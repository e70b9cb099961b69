"""The processes that a worker starts for itself die: they are started again, or it is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.acceptance.command import Shell
from tests.faults.conftest import Note
from tests.faults.killing import killing
from tests.faults.world import World

pytestmark = pytest.mark.timeout(300)

Find = Callable[[psutil.Process], psutil.Process | None]


def children(process: psutil.Process, part: str) -> list[psutil.Process]:
    """Descendants with `part` in their command line."""
    found = []
    for child in process.children(recursive=True):
        try:
            if part in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_textblob_by_choice_whose_process_dies(world: World, note: Note) -> None:
    world.configure("review")
    world.fill(400)
    me = psutil.Process()
    with killing(lambda: children(me, "scoring.textblob"), 0.05) as killed:
        done = world.once(USE_LAMBDA_SENTIMENT="0")
    unscored = (
        "sentiment.record r WHERE NOT EXISTS (SELECT FROM sentiment.score s"
        " WHERE s.record_id = r.id)"
    )
    without = world.count(unscored)
    assert killed
    assert (without > 0) == (done.code != 0), "what was not scored is not called done"
    for _ in range(5):
        if not world.count(unscored):
            break
        world.shell("quarantine", "redrive", "--all", "--config", world.config,
                    USE_LAMBDA_SENTIMENT="0")  # fmt: skip
        world.once(USE_LAMBDA_SENTIMENT="0")
    note(
        "1",
        f"TextBlob by choice, its process killed {len(killed)} times",
        f"{without} records without a score then, exit code {done.code};"
        f" {world.count(unscored)} after another run",
        "none is called done without a score",
    )
    assert world.count(unscored) == 0


def test_serve_starts_its_helpers_again(tmp_path: Path, note: Note) -> None:
    """The embedded PostgreSQL and the local Lambda have nobody else."""
    shell = Shell(tmp_path)
    (tmp_path / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "a"\nkind = "file"\npath = "*.csv"\nevery = "1s"\n'
    )
    with shell.started("serve") as serve:
        process = psutil.Process(serve.pid)
        _write(tmp_path, 0)
        _wait_until(partial(_are_scored, shell, 1))
        for number, find in enumerate((_local_lambda, _postmaster), 1):
            victim = find(process)
            assert victim
            victim.kill()
            # No command of ours may be what starts it again.
            _wait_until(partial(_is_another, find, process, victim))
            _write(tmp_path, number)
            _wait_until(partial(_are_scored, shell, number + 1))
        serve.terminate()
        assert serve.wait(60) == 0
    note(
        "1",
        "kill -9 of the local Lambda, then of the embedded PostgreSQL, under serve",
        "both started again, 3 of 3 records scored by the model",
        "all",
    )


def _write(folder: Path, number: int) -> None:
    (folder / f"{number}.csv").write_text(f"id,text\n{number},I love it\n")


def _are_scored(shell: Shell, count: int) -> bool:
    done = shell("scores", "--output", "json")
    if done.code:  # the server is in recovery: a command that reads says so, and ends
        return False
    rows = done.data
    return sum(row["label"] is not None and not row["provisional"] for row in rows) == count


def _is_another(find: Find, serve: psutil.Process, victim: psutil.Process) -> bool:
    return find(serve) not in (None, victim)


def _local_lambda(serve: psutil.Process) -> psutil.Process | None:
    return next(iter(children(serve, "lambda_service")), None)


def _postmaster(serve: psutil.Process) -> psutil.Process | None:
    """The server whose lock `serve` holds; it is no child of it."""
    base = next(Path(f.path).parent for f in serve.open_files() if f.path.endswith("users.lock"))
    try:
        return psutil.Process(int((base / "data" / "postmaster.pid").read_text().split()[0]))
    except (OSError, IndexError, psutil.Error):  # it is just being started
        return None


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.3)
