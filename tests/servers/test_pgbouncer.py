"""Behind PgBouncer, which gives a session to whoever has a transaction to run."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from tests.acceptance.command import Shell
from tests.scripted_lambda import Response, ScriptedLambda, scored
from worker.store import database

ROWS = 300
LEASE_S = 12
NOBODY = 65_534


@contextmanager
def pooler(folder: Path, url: str, mode: str) -> Iterator[str]:
    """PgBouncer before the database; gives the URL. It refuses to run as root, and the embedded
    server's socket is its owner's alone."""
    binary = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    assert Path(binary).exists(), "PgBouncer is needed: make servers"
    parsed, port = database.normalise_url(url), free_port()
    host = parsed.host or str(parsed.query["host"])
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={host} port={parsed.port or 5432} user={parsed.username}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = {mode}\ndefault_pool_size = 20\n"
    )
    folder.chmod(0o755)
    owner = os.stat(host).st_uid if host.startswith("/") else NOBODY
    account: dict[str, Any] = {"user": owner, "group": owner, "extra_groups": []}
    with open(folder / "pgbouncer.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [binary, str(config)],
            stdout=log,
            stderr=log,
            **(account if os.geteuid() == 0 else {}),
        )
    try:
        through = parsed.set(host="127.0.0.1", port=port, query={}, password="none")
        yield answering(through)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answering(url: sa.URL) -> str:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    for _ in range(100):
        try:
            psycopg.connect(plain).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.05)
    return url.render_as_string(hide_password=False)


class Slow:
    """A Lambda that answers once it may."""

    def __init__(self, served: ScriptedLambda) -> None:
        self.asked, self.may = Event(), Event()
        served.script = self._answer

    def _answer(self, request: dict[str, Any], number: int) -> Response:
        self.asked.set()
        self.may.wait(60)
        return scored(request)


@pytest.fixture(params=["session", "transaction"])
def pooled(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database_url: str,
    scripted_lambda: ScriptedLambda,
) -> Iterator[Shell]:
    rows = "".join(f"{n},a good day {n}\n" for n in range(ROWS))
    (tmp_path / "a.csv").write_text(f"id,text\n{rows}")
    scripted_lambda.script = lambda request, n: scored(request)
    with (
        tempfile.TemporaryDirectory(prefix="pgbouncer-") as open_folder,
        pooler(Path(open_folder), database_url, request.param) as url,
    ):
        yield Shell(
            tmp_path,
            DATABASE_URL=url,
            AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
            AWS_REGION="local",
            SENTIMENT_CHUNK_TEXTS="10",
            SENTIMENT_LEASE=f"{LEASE_S}s",
            MODE=request.param,
        )


def is_shared(shell: Shell) -> bool:
    return shell.variables["MODE"] == "transaction"


@pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")
def test_a_connection_gives_up_a_server_that_is_gone(pooled: Shell) -> None:
    """Over TCP, by the kernel, while something is under way to it."""
    engine = database.make_engine(pooled.variables["DATABASE_URL"], application="tests")
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        with socket.socket(fileno=os.dup(driver.fileno())) as seen:
            timeout = seen.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            idle = seen.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    engine.dispose()
    assert (timeout, idle) == (30_000, 20)


def test_a_run_scores_and_doctor_says_what_is_between(pooled: Shell, engine: sa.Engine) -> None:
    done = pooled("once", "a.csv")
    assert done.code == 0, done.err
    with engine.connect() as connection:
        counted = "SELECT count(*) FROM analytics.current_sentiment WHERE NOT provisional"
        assert connection.scalar(sa.text(counted)) == ROWS
    told = pooled("doctor", "--output", "json").data
    sessions = [finding for finding in told if finding["check"] == "sessions"]
    assert [finding["state"] for finding in sessions] == (["note"] if is_shared(pooled) else [])
    assert ("a pooler shares" in done.err) == is_shared(pooled)


def test_a_source_is_held_and_given_back(
    pooled: Shell, scripted_lambda: ScriptedLambda, engine: sa.Engine
) -> None:
    """Longer than a lease, while others try; killed, it is free: at once where PostgreSQL notices,
    else when the lease is over."""
    slow = Slow(scripted_lambda)
    with pooled.started("once", "a.csv") as first:
        assert slow.asked.wait(30)
        time.sleep(1.25 * LEASE_S)
        refused = pooled("once", "a.csv")
        assert (refused.code, "Another run holds" in refused.err) == (4, True)
        assert ("is free at" in refused.err) == is_shared(pooled)
        first.send_signal(signal.SIGKILL)
        first.wait()
    slow.may.set()
    if is_shared(pooled):
        assert pooled("once", "a.csv").code == 4
        time.sleep(LEASE_S)
    assert pooled("once", "a.csv").code == 0
    with engine.connect() as connection:
        counted = "SELECT count(*), count(DISTINCT record_id) FROM sentiment.score"
        assert connection.execute(sa.text(counted)).one() == (ROWS, ROWS)


def test_a_migration_asks_for_the_servers_own_address(pooled: Shell) -> None:
    done = pooled("db", "upgrade")
    assert done.code == (2 if is_shared(pooled) else 0), done.err
    assert ("PostgreSQL's own address" in done.err) == is_shared(pooled)
