"""A name that stops resolving and comes back: of the database, and of the Lambda's endpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.command import COMMAND, Done
from tests.faults.conftest import Note
from tests.faults.proxy import PostgresProxy
from tests.faults.world import World
from worker.store import database

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
        reason="a process with names of its own needs root",
    ),
]

AWAY_S = 6.0
"""Longer than `serve` waits for its database before a run fails."""


class Names:
    """What resolves, for processes that are started with `prefix`: its own /etc/hosts, and a
    nameserver that is not there."""

    def __init__(self, folder: Path) -> None:
        self._hosts, nowhere = folder / "hosts", folder / "resolv.conf"
        nowhere.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        bind = f"mount --bind {self._hosts} /etc/hosts && mount --bind {nowhere} /etc/resolv.conf"
        self.prefix = ["unshare", "--mount", "sh", "-c", f'{bind} && exec "$@"', "sh", str(COMMAND)]

    def are(self, *names: str) -> None:
        lines = "".join(f"127.0.0.1 {name}\n" for name in ("localhost", *names))
        self._hosts.write_text(lines)  # in place: what is mounted is the file, not its name


@pytest.fixture
def names(tmp_path: Path) -> Names:
    names = Names(tmp_path)
    names.are("db.test", "lambda.test")
    return names


@pytest.fixture
def named(world: World) -> Iterator[World]:
    """A world whose workers know database and Lambda by name alone."""
    with PostgresProxy(world.server.socket, world.rng) as proxy:
        url = database.normalise_url(world.url).set(host="db.test", port=proxy.port, query={})
        world.shell.variables |= {
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "AWS_ENDPOINT_URL_LAMBDA": f"http://lambda.test:{world.endpoint.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "LAMBDA_AUTH_METHOD": "keys",
            "LAMBDA_FUNCTION_NAME": "f",
        }
        world.configure("review")
        yield world


@contextmanager
def serving(world: World, names: Names) -> Iterator[subprocess.Popen[bytes]]:
    with world.config.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [*names.prefix, "serve", "--config", str(world.config)],
            cwd=world.shell.folder,
            env=world.shell.variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def said(world: World, event: str) -> list[str]:
    """The error, or its code, of each such event in the log."""
    whole = world.config.with_suffix(".log").read_text().rpartition("\n")[0]
    lines = map(json.loads, whole.splitlines())
    return [str(line.get("error") or line.get("code")) for line in lines if line["event"] == event]


def scored(world: World) -> int:
    return world.count("sentiment.score WHERE NOT provisional")


def test_names_that_go_away_and_come_back(named: World, names: Names, note: Note) -> None:
    with serving(named, names) as process:
        named.fill(100)
        named.wait_until(lambda: scored(named) == 100)
        names.are("db.test")
        named.endpoint.away = True  # it closes the connections that were open
        named.fill(100)
        named.wait_until(lambda: named.count("sentiment.score WHERE provisional") == 100)
        unresolved = "EndpointConnectionError"
        named.wait_until(lambda: any(unresolved in each for each in said(named, "chunk.failed")))
        named.endpoint.away = False
        time.sleep(2)
        assert scored(named) == 100
        names.are("db.test", "lambda.test")
        started = time.monotonic()
        named.wait_until(lambda: scored(named) == 200)
        lambda_s = time.monotonic() - started
        names.are("lambda.test")
        named.server.crash()
        named.fill(100)
        time.sleep(AWAY_S)
        assert process.poll() is None
        assert scored(named) == 200
        names.are("db.test", "lambda.test")
        started = time.monotonic()
        named.wait_until(lambda: scored(named) == 300)
        database_s = time.monotonic() - started
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    truth = named.truth("review")
    note(
        "9",
        "the names of the Lambda, then of the database, do not resolve for some seconds",
        f"works again {lambda_s:.1f} and {database_s:.1f} s after their return; {truth}",
        "by itself, 0/0",
    )
    assert truth.clean, truth
    assert any("failed to resolve host 'db.test'" in each for each in said(named, "job.failed"))


def run(world: World, names: Names, *arguments: object) -> Done:
    done = subprocess.run(
        [*names.prefix, *map(str, arguments), "--config", str(world.config)],
        cwd=world.shell.folder,
        env=world.shell.variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("command", ["once", "serve", "scores"])
def test_a_database_whose_name_never_resolved(named: World, names: Names, command: str) -> None:
    names.are("lambda.test")
    named.shell.variables["SENTIMENT_DATABASE_PATIENCE"] = "2s"
    done = run(named, names, command)
    assert done.code == 3
    assert "failed to resolve host 'db.test'" in done.err
    assert "DATABASE_URL" in done.err
    assert "Traceback" not in done.err


def test_a_lambda_whose_name_never_resolved(named: World, names: Names) -> None:
    names.are("db.test")
    named.fill(20)
    done = run(named, names, "once")
    assert done.code == 6, done.err
    assert "AWS_ENDPOINT_URL_LAMBDA" in done.err
    assert named.count("sentiment.score WHERE provisional") == 20
    names.are("db.test", "lambda.test")
    assert run(named, names, "once").code == 0
    assert named.truth("review").clean
