"""Canary secrets, forbidden statements, foreign Host headers: no leak, all denied."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import psutil
import psycopg
import pytest

from tests.acceptance.command import COMMAND, Shell
from tests.acceptance.test_tracing import collecting
from tests.faults.conftest import Note, Scale
from tests.faults.world import World
from tests.scripted_lambda import function_error
from worker.local import lambda_process
from worker.records import Lane
from worker.store import database, migrate
from worker.store.ledger.runs import PostgresLedger

pytestmark = pytest.mark.timeout(300)

CANARY = "canary-7f3a"
"""In every setting that can hold a secret; it may show up nowhere."""


_COMMANDS = (
    ("once", "-v"),
    ("config", "show"),
    ("config", "show", "--output", "json"),
    ("config", "validate"),
    ("doctor",),
    ("status",),
    ("runs", "--output", "json"),
)
_WRONG = (
    {"DATABASE_URL": f"postgresql://u:{CANARY}-database@127.0.0.1:9/none"},
    {"DATABASE_URL": f"postgresql://u:{CANARY}-database@127.0.0.1:nine/none"},
    {"DATABASE_URL": f"mysql://u:{CANARY}-database@127.0.0.1/none"},
    {"AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9"},
    {"LAMBDA_TIMEOUT": "never"},
)
"""No such database, ports where nobody listens, what is no value: errors quote what they get."""


def _secrets(world: World, folder: Path) -> dict[str, str]:
    token = folder / "token"
    token.write_text(f"{CANARY}-token\n")
    url = database.normalise_url(world.url).set(password=f"{CANARY}-database")
    return {
        # The embedded server trusts its socket: the password is carried, and not asked for.
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "LAMBDA_AUTH_METHOD": "keys",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": f"{CANARY}-secret-key",
        "AWS_SESSION_TOKEN_FILE": str(token),
        "SENTIMENT_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={CANARY}-collector",
        "LOG_LEVEL": "debug",
    }


def test_canary_secrets(world: World, scale: Scale, tmp_path: Path, note: Note) -> None:
    world.configure("review")
    source = database.normalise_url(world.url).set(password=f"{CANARY}-source")
    text = world.config.read_text().replace(world.url, source.render_as_string(hide_password=False))
    world.config.write_text(text)
    world.fill(200)
    world.endpoint.faults = {"http_500": 0.3, "html": 0.2}
    shell = Shell(tmp_path)
    shell.variables |= world.shell.variables | _secrets(world, tmp_path)
    seen: list[str] = []
    with _process_lists(seen), collecting() as (collector, url):
        shell.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        config = ("--config", world.config)
        for arguments in _COMMANDS:
            done = shell(*arguments, *config)
            seen += [done.out, done.err]
        for wrong in _WRONG:
            variables = {"SENTIMENT_DATABASE_PATIENCE": "1s"} | wrong
            for verbose in ((), ("-v",)) if scale.full else (("-v",),):
                world.fill(5)
                done = shell("once", *config, *verbose, timeout=60, **variables)
                assert done.code != 0
                seen += [done.out, done.err]
        world.config.write_text(text.replace('table = "review"', 'table = "nothing"'))
        done = shell("once", *config, "-v")
        seen += [done.out, done.err]
        world.config.write_text(text.replace('kind = "sql"', "kind = 5"))
        done = shell("config", "validate", *config)
        seen += [done.out, done.err]
        world.config.write_text(text)
        nobody = f"http://u:{CANARY}-collector@127.0.0.1:9"
        done = shell("once", *config, "-v", OTEL_EXPORTER_OTLP_ENDPOINT=nobody)
        seen += [done.out, done.err, *map(str, collector.spans)]
    assert collector.named("invocation")
    tables = world.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sentiment'"
    )
    for (table,) in tables:
        seen.append(str(world.rows(f"SELECT * FROM sentiment.{table}")))
    leaks = [where for where in seen if CANARY in where]
    note(
        "17",
        "canary secrets in every setting that can hold one",
        f"{len(leaks)} leaks in {len(seen):,} outputs, logs, errors, traces, tables and process"
        " lists",
        "no leak",
    )
    assert not leaks, leaks[0][-1500:]
    assert len(seen) > 40


@contextlib.contextmanager
def _process_lists(seen: list[str]) -> Iterator[None]:
    """What `ps` would show of our commands and their helpers, again and again."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            for process in psutil.process_iter(["cmdline"]):
                line = " ".join(process.info["cmdline"] or ())
                if "sentiment" in line or "worker." in line:
                    seen.append(line)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_no_text_of_a_record_is_logged(world: World) -> None:
    world.configure("review")
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO review (body) SELECT 'private words' FROM generate_series(1,9)"
        )
        connection.execute("INSERT INTO review (body) VALUES ('private poison')")
    world.endpoint.script = lambda request: (
        function_error() if "private poison" in request["texts"] else None
    )
    done = world.once("-v", LOG_LEVEL="debug", SENTIMENT_CHUNK_TEXTS="5")
    assert "private" not in done.err
    # Everything that is said of a chunk that fails was said.
    assert "chunk.failed" in done.err
    assert world.count("sentiment.quarantine") == 1


DENIED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)
FORBIDDEN = {
    "sentiment_analyst": (
        "SELECT * FROM sentiment.record",
        "SELECT * FROM sentiment.quarantine",
        "UPDATE analytics.current_sentiment SET label = 'x'",
        "CREATE TABLE analytics.mine ()",
        "CREATE FUNCTION analytics.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SELECT pg_read_file('/etc/passwd')",
    ),
    "sentiment_worker": (
        "DROP TABLE sentiment.record",
        "TRUNCATE sentiment.score",
        "DELETE FROM sentiment.record",
        "DELETE FROM sentiment.score",
        "ALTER TABLE sentiment.chunk ADD COLUMN x int",
        "COPY sentiment.record TO PROGRAM 'id'",
        "UPDATE analytics.run_history SET state = 'done'",
    ),
}


def test_forbidden_statements(world: World, note: Note) -> None:
    engine = database.make_engine(world.url, application="tests")
    migrate.grant_roles(engine)
    engine.dispose()
    tried = 0
    for role, statements in FORBIDDEN.items():
        for statement in statements:
            with world.connect() as connection:
                connection.execute(f"SET ROLE {role}".encode())
                with pytest.raises(DENIED):
                    connection.execute(statement.encode())
            tried += 1
    note("17", "forbidden statements for each role", f"{tried} of {tried} denied", "all denied")


def test_the_workers_role_is_enough(world: World) -> None:
    """What `db roles` grants covers all that a worker does: score, refuse, redrive, take over."""
    engine = database.make_engine(world.url, application="tests")
    migrate.grant_roles(engine)
    engine.dispose()
    login = f"login_{world.name}"
    with world.connect() as connection:
        connection.execute(f"CREATE ROLE {login} LOGIN IN ROLE sentiment_worker".encode())
        connection.execute(f"GRANT SELECT ON public.review TO {login}".encode())
        connection.execute(f"GRANT INSERT ON public.settlement TO {login}".encode())
    url = database.normalise_url(world.url).set(username=login)
    as_worker = {"DATABASE_URL": url.render_as_string(hide_password=False)}
    world.configure("review")
    world.fill(50)
    world.endpoint.script = lambda request: (
        function_error() if any(t.startswith("text 7 ") for t in request["texts"]) else None
    )
    config = ("--config", world.config)
    done = world.shell("once", *config, timeout=60, **as_worker)
    assert done.code == 5, done.err
    world.endpoint.script = None
    done = world.shell("quarantine", "redrive", "--all", *config, timeout=60, **as_worker)
    assert done.code == 0, done.err
    assert world.truth("review").clean
    with ledger_of(world, login).exclusive(Lane(1), "review"):
        time.sleep(0.3)
        with ledger_of(world, login).exclusive(Lane(1), "review"):
            pass


def ledger_of(world: World, login: str) -> PostgresLedger:
    """An impatient one of that login's."""
    url = database.normalise_url(world.url).set(username=login)
    engine = database.make_engine(url.render_as_string(hide_password=False), application="tests")
    return PostgresLedger(engine, worker=token_hex(3), patience_s=1, lease_s=0.1)


def test_the_local_lambda_answers_no_web_page(note: Note) -> None:
    """A page in a browser can send requests to loopback: a foreign Host (DNS rebinding) and any
    Origin are refused."""
    with lambda_process.running(concurrency=1, timeout_s=10) as url:
        path = f"{url}/2015-03-31/functions/sentiment/invocations"
        codes = []
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "https://evil.example"},
            {"Host": "evil.example:80", "Origin": "null"},
        ):
            request = urllib.request.Request(path, b'{"texts": []}', headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    codes.append(answer.status)
            except urllib.error.HTTPError as error:
                codes.append(error.code)
    note("17", "foreign Host and Origin headers at the local Lambda", f"{codes}", "all denied")
    assert codes == [403, 403, 403]


def test_nothing_is_left_running(world: World) -> None:
    """Helpers end with a worker that is killed."""
    world.configure("review")
    world.fill(50)
    world.endpoint.latency_s = 5.0
    with subprocess.Popen(
        [str(COMMAND), "once", "--config", str(world.config)],
        env=world.shell.variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 20
        while not (family := psutil.Process(process.pid).children()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
