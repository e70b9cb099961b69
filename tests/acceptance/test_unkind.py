"""Ordinary operations that broke the worker once: a log that nobody takes, a proxy in the way."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import URL, Engine

from tests.acceptance.command import COMMAND, Shell
from tests.scripted_lambda import Response, ScriptedLambda, aws_error, scored
from worker.errors import TooSlow
from worker.store import database

ROWS = 2_000


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    scripted_lambda.script = lambda request, n: scored(request)
    rows = "".join(f"{n},a good day {n}\n" for n in range(ROWS))
    (tmp_path / "a.csv").write_text(f"id,text\n{rows}")
    (tmp_path / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "a"\nkind = "file"\npath = "a.csv"\nevery = "1s"\n'
    )
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        SENTIMENT_CHUNK_TEXTS="2",
        SENTIMENT_HTTP="off",
    )


@contextmanager
def nobody_reads(how: str) -> Iterator[int]:
    """A file descriptor for a log: of a pipe that is full at once, or closed, or of a full disk."""
    if how == "full disk":
        with open("/dev/full", "w", encoding="utf-8") as file:
            yield file.fileno()
        return
    reader, writer = os.pipe()
    if how == "closed pipe":
        os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)
        if how != "closed pipe":
            os.close(reader)


def scored_in(url: str) -> int:
    plain = database.normalise_url(url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM sentiment.score").fetchone() or (0,)
    return int(count)


@pytest.mark.parametrize("how", ["full pipe", "closed pipe", "full disk"])
def test_work_goes_on_without_its_log_and_a_signal_waits_for_none(
    shell: Shell, database_url: str, how: str
) -> None:
    with nobody_reads(how) as log:
        process = subprocess.Popen(
            [str(COMMAND), "serve", "-v"],
            cwd=shell.folder,
            env=shell.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + 60
            while scored_in(database_url) < ROWS:
                assert process.poll() is None, "it ended"
                assert time.monotonic() < deadline, f"{scored_in(database_url)} of {ROWS}"
                time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


@contextmanager
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """An address for HTTP_PROXY, and the first bytes of whatever came to it."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    came.append(connection.recv(200))
                    connection.sendall(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", came
        server.shutdown(socket.SHUT_RDWR)


def test_loopback_does_not_go_through_a_proxy_and_aws_does(shell: Shell) -> None:
    with proxy() as (url, came):
        ways: dict[str, Any] = {
            "HTTP_PROXY": url,
            "http_proxy": url,
            "HTTPS_PROXY": url,
            "https_proxy": url,
        }
        done = shell("score", "a good day", **ways)
        assert done.code == 0, done.err
        assert came == [], "no text leaves this machine"
        local = Shell(shell.folder / "local")
        local.folder.mkdir()
        assert local("score", "a good day", **ways).code == 0
        assert came == []
        keys: dict[str, Any] = {
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        away: dict[str, Any] = {"AWS_ENDPOINT_URL_LAMBDA": "http://lambda.example.invalid"}
        assert shell("score", "a good day", **ways, **keys, **away).code != 0
        assert came[0].startswith(b"POST http://lambda.example.invalid")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "| head -n 1"])
def test_a_closed_door_is_no_traceback(shell: Shell, closed: str) -> None:
    assert shell("once").code == 0
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"'{COMMAND}' scores -n 2000 -o json {closed}"],
        cwd=shell.folder, env=shell.variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_source_that_hangs_stops_no_other_and_no_signal(
    shell: Shell, database_url: str, empty_database_url: str
) -> None:
    """Its table is locked, and eight sources read it: more than there are threads to share."""
    rows = "".join(f"{n},a good day {n}\n" for n in range(20))
    (shell.folder / "a.csv").write_text(f"id,text\n{rows}")
    config = (shell.folder / "sentiment-worker.toml").read_text()
    config += "".join(
        f'[[source]]\nname = "hangs{n}"\nkind = "sql"\nurl = "{empty_database_url}"\n'
        'table = "review"\ntimeout = "3s"\nevery = "1s"\n'
        for n in range(8)
    )
    (shell.folder / "sentiment-worker.toml").write_text(config)
    plain = database.normalise_url(empty_database_url).set(drivername="postgresql")
    url = plain.render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as admin, psycopg.connect(url) as locking:
        admin.execute("CREATE TABLE review (id int PRIMARY KEY, text text)")
        locking.execute("LOCK TABLE review")
        with shell.started("serve", SENTIMENT_RUNS_AT_ONCE="16") as process:
            _until(lambda: scored_in(database_url) == 20)
            (shell.folder / "a.csv").write_text(f"id,text\n{rows}99,another day\n")
            _until(lambda: scored_in(database_url) == 21)
            said = shell("runs", "--source", "hangs0", "-o", "json").data
            _until(lambda: "statement timeout" in str(shell("runs", "-o", "json").data))
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0, said


def test_hundreds_of_sources_and_a_hundred_connections(shell: Shell, database_url: str) -> None:
    """Each run holds a connection: eight at once are enough for all of them."""
    config, count = "", 400
    for n in range(count):
        (shell.folder / f"s{n}.csv").write_text(f"id,text\n1,a good day {n}\n")
        config += f'[[source]]\nname = "s{n}"\nkind = "file"\npath = "s{n}.csv"\nevery = "1h"\n'
    (shell.folder / "sentiment-worker.toml").write_text(config)
    plain = database.normalise_url(database_url).set(drivername="postgresql")
    most = 0
    with (
        psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as watching,
        shell.started("serve") as process,
    ):
        scored, moved_at = 0, time.monotonic()
        while scored < count:
            before, scored = scored, scored_in(database_url)
            moved_at = time.monotonic() if scored > before else moved_at
            assert time.monotonic() < moved_at + 30, f"no progress after {scored}"
            row = watching.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name"
                " LIKE 'sentiment-worker %' AND datname = current_database()"
            ).fetchone()
            most = max(most, row[0] if row else 0)
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert most < 30


def _until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_numbers_beyond_the_databases_are_refused(shell: Shell) -> None:
    huge = 10**20
    for command in (
        ("quarantine", "show", huge),
        ("quarantine", "redrive", huge),
        ("scores", "-n", huge),
        ("runs", "show", huge),
        ("backfill", "status", huge),
        ("backfill", "apply", huge),
        ("state", "rewind", "a", "--why", "x", "--before", huge),
    ):
        refused = shell(*command)
        assert refused.code == 2, command
        assert "should not have happened" not in refused.err, command


def test_what_is_said_of_a_moved_cursor_helps(shell: Shell) -> None:
    with sqlite3.connect(shell.folder / "app.db") as app:
        for table in ("one", "two"):
            app.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, text TEXT)")
            app.executemany(
                f"INSERT INTO {table} (text) VALUES (?)", [(f"a good {n}",) for n in range(9)]
            )
    app.close()
    config = shell.folder / "sentiment-worker.toml"

    def reading(table: str) -> None:
        config.write_text(
            '[[source]]\nname = "my app"\nkind = "sql"\nurl = "sqlite:///app.db"\n'
            f'table = "{table}"\ncursor = "id"\n'
        )

    reading("one")
    assert shell("once").code == 0
    reading("two")
    refused = shell("once")
    assert refused.code == 2
    assert "the table was 'one' and is 'two'" in refused.err
    (command,) = re.findall(r"sentiment-worker (state rewind .*? --why moved)", refused.err)
    assert shell(*shlex.split(command)).code == 0
    again = shell("once")
    assert again.code == 0, again.err
    assert "9 read" in again.err


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9"}, 6, "(NewConnectionError)"),
        ({"AWS_ENDPOINT_URL_LAMBDA": "http://no-such-host.invalid"}, 6, "(NameResolutionError)"),
        ({"AWS_ENDPOINT_URL_LAMBDA": "https://{there}"}, 6, "TLS failed"),
        ({"AWS_ENDPOINT_URL_LAMBDA": "", "AWS_PROFILE": "missing"}, 2, "no AWS profile 'missing'"),
    ],
    ids=["refused", "unknown name", "no TLS", "no profile"],
)
def test_what_was_never_sent_is_no_call_and_its_cause_is_said(
    shell: Shell,
    scripted_lambda: ScriptedLambda,
    variables: dict[str, str],
    code: int,
    said: str,
) -> None:
    there = scripted_lambda.url.removeprefix("http://")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    own = {name: value.format(there=there) for name, value in variables.items()}
    (shell.folder / "a.csv").write_text("id,text\n1,a good day\n")
    own_shell = Shell(
        shell.folder, **(shell.variables | keys | own | {"LAMBDA_FUNCTION_NAME": "f"})
    )
    done = own_shell("once")
    assert (done.code, said in done.err, "Traceback" in done.err) == (code, True, False), done.err
    (run,) = shell("runs", "--output", "json").data
    shown = shell("runs", "show", run["id"], "--output", "json").data
    assert (shown["invocations"], shown["texts_sent"], shown["failed"] > 0) == (0, 0, True)


def test_an_endpoint_that_redirects_is_a_wrong_address(
    shell: Shell, scripted_lambda: ScriptedLambda
) -> None:
    scripted_lambda.script = lambda request, n: Response(
        status=301, headers={"Location": "https://elsewhere.invalid/"}
    )
    done = shell("once")
    assert (done.code, "a redirect (HTTP 301)" in done.err) == (2, True), done.err


def test_calls_without_a_report_line_count_against_the_budget(
    shell: Shell, scripted_lambda: ScriptedLambda
) -> None:
    """At the most that they can have cost: one that got no answer as long as the function may run,
    one that did as long as it took."""
    scripted_lambda.script = lambda request, n: Response(drop=True) if n == 0 else scored(request)
    (shell.folder / "a.csv").write_text("id,text\n1,a good day\n")
    assert shell("once", LAMBDA_TIMEOUT="60", SENTIMENT_BUDGET_DAILY="0.5").code == 0
    (row,) = shell("cost", "report", "--by", "source", "--output", "json").data
    assert (row["invocations"], row["unreported"]) == (2, 2)
    a_minute = 60 * 1769 / 1024
    assert a_minute < row["gb_seconds"] < 1.1 * a_minute
    spent = row["cost_usd"]
    (shell.folder / "a.csv").write_text("id,text\n1,a good day\n2,another good day\n")
    stopped = shell("once", SENTIMENT_BUDGET_DAILY=f"{spent:.6f}")
    assert (stopped.code, len(scripted_lambda.requests)) == (7, 2), stopped.err
    assert "brought no report line" in shell("cost", "report").err


def test_what_rows_wait_for_is_with_the_run_in_doctor_and_in_the_metrics(
    shell: Shell, database_url: str
) -> None:
    plain = database.normalise_url(database_url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as late:
        late.execute("CREATE TABLE review (id bigint PRIMARY KEY, body text, xid xid8)")
        late.commit()
        late.execute("SELECT pg_current_xact_id()")
        with psycopg.connect(plain.render_as_string(hide_password=False)) as quick:
            quick.execute("INSERT INTO review VALUES (1, 'good', pg_current_xact_id())")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        (shell.folder / "sentiment-worker.toml").write_text(
            f'[[source]]\nname = "app"\nkind = "sql"\nurl = "{database_url}"\ntable = "review"\n'
            'cursor = "xid"\nevery = "1h"\n'
        )
        once = shell("once")
        assert "committed rows wait behind session" in once.err
        (run,) = shell("runs", "--output", "json").data
        assert "wait behind" in str(shell("runs", "show", run["id"], "--output", "json").data)
        told = shell("doctor", "--output", "json").data
        assert any("wait behind" in finding["detail"] for finding in told)
        with shell.started("serve", SENTIMENT_HTTP=address):
            assert _metric(address, "sentiment_source_waiting_seconds") > 0


def _metric(address: str, name: str) -> float:
    """Of the one source, once it has run."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://{address}/metrics") as got,
        ):
            found = re.search(rf"^{name}{{.*}} (.*)$", got.read().decode(), re.MULTILINE)
            if found and float(found[1]) > 0:
                return float(found[1])
        time.sleep(0.3)
    raise AssertionError(f"{name} stayed at 0")


MEMORY_MAX = 1024**3
"""Of the systemd unit: for all of the worker's processes together."""


def test_the_units_memory_is_enough_for_large_rows(
    shell: Shell, database_url: str, tmp_path: Path
) -> None:
    """6,000 rows of 192 KB are 1.1 GB of text."""
    unit = (Path(__file__).parents[2] / "deploy/systemd/sentiment-worker.service").read_text()
    assert "MemoryMax=1G" in unit
    plain = database.normalise_url(database_url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as app:
        app.execute(
            "CREATE TABLE review AS SELECT n AS id, n || repeat(' a good day', 17_873) AS body"
            " FROM generate_series(1, 6_000) n"
        )
        app.execute("ALTER TABLE review ADD PRIMARY KEY (id)")
    (shell.folder / "sentiment-worker.toml").write_text(
        f'[[source]]\nname = "app"\nkind = "sql"\nurl = "{database_url}"\ntable = "review"\n'
        'cursor = "id"\n'
    )
    with shell.started("once", SENTIMENT_CHUNK_TEXTS="50") as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.05)
    assert process.returncode == 0, (tmp_path / "started.log").read_text()[-2000:]
    assert scored_in(database_url) == 6_000
    assert peak < MEMORY_MAX, f"{peak / 1024**2:,.0f} MB"


def _resident(pid: int) -> int:
    """Bytes, of a process and its children."""
    with contextlib.suppress(psutil.Error):
        one = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (one, *one.children(recursive=True)))
    return 0


def test_a_place_without_a_file_is_said_once_and_fails_where_that_is_asked(shell: Shell) -> None:
    (shell.folder / "inbox").mkdir()
    place = '[[source]]\nname = "{0}"\nkind = "file"\npath = "inbox"\n{1}\n'
    (shell.folder / "sentiment-worker.toml").write_text(
        place.format("lenient", "") + place.format("strict", 'empty = "error"')
    )
    codes = []
    for _ in range(4):
        done = shell("once")
        codes.append(done.code)
        assert done.err.count("no file to be read at inbox") >= 2
    assert codes == [0, 0, 1, 1], "three in a row"
    runs = shell("runs", "--source", "strict", "-o", "json").data
    assert [run["state"] for run in reversed(runs)] == ["done", "done", "failed", "failed"]
    (shell.folder / "inbox" / "a.csv").write_text("id,text\n1,a good day\n")
    assert shell("once").code == 0
    (shell.folder / "inbox" / "a.csv").unlink()
    assert shell("once").code == 0, "it begins anew"
    typed = shell("once", "inbox")
    assert (typed.code, "no file to be read" in typed.err) == (2, True)
    assert "inbox" not in str(shell("status", "-o", "json").data)


def test_small_files_share_calls(
    shell: Shell, scripted_lambda: ScriptedLambda, database_url: str
) -> None:
    folder = shell.folder / "inbox"
    folder.mkdir()
    for n in range(1_000):
        (folder / f"{n:04}.csv").write_text(f"id,text\n{n},a good day {n}\n")
    done = shell("once", "inbox", SENTIMENT_CHUNK_TEXTS="50")
    assert done.code == 0, done.err
    assert scored_in(database_url) == 1_000
    assert len(scripted_lambda.requests) < 100


def test_a_record_that_two_small_files_bring_is_rewritten_by_the_second(
    shell: Shell, database_url: str
) -> None:
    folder = shell.folder / "inbox"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.csv").write_text(f"id,text\n1,a good day {n}\n{n + 10},good\n")
    assert shell("once", "inbox").code == 0
    plain = database.normalise_url(database_url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        found = connection.execute(
            "SELECT text, revision FROM sentiment.record WHERE external_id = '1'"
        ).fetchall()
    assert found == [("a good day 2", 3)]


def test_an_apply_outlasts_a_hiccup_of_the_function(
    shell: Shell, scripted_lambda: ScriptedLambda
) -> None:
    (shell.folder / "a.csv").write_text("id,text\n1,a good day\n")
    assert shell("once").code == 0
    planned = shell("rescore", "plan", "--source", "a", "--to", "2", "-o", "json")
    assert planned.code == 0, planned.err
    hiccups = iter([aws_error(429, "TooManyRequestsException"), aws_error(500, "ServiceException")])
    scripted_lambda.script = lambda request, n: next(hiccups, scored(request, model_version="2"))
    applied = shell("backfill", "apply", planned.data["id"])
    assert applied.code == 0, applied.err


def test_a_dba_who_takes_temporary_tables_away_is_told_what_to_give_back(
    shell: Shell, database_url: str
) -> None:
    """The worker's role has the right by name, so what is taken from everybody does not matter."""
    url = database.normalise_url(database_url)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as dba:
        dba.execute(f"REVOKE TEMPORARY ON DATABASE {url.database} FROM PUBLIC".encode())
        dba.execute(f"CREATE ROLE {url.database}_w LOGIN".encode())
        dba.execute(f"GRANT sentiment_worker TO {url.database}_w".encode())
        try:
            login = url.set(username=f"{url.database}_w").render_as_string(hide_password=False)
            named = Shell(shell.folder, **(shell.variables | {"DATABASE_URL": login}))
            revoke = f"REVOKE TEMPORARY ON DATABASE {url.database} FROM sentiment_worker"
            dba.execute(revoke.encode())
            refused = named("once")
            assert (refused.code, "GRANT TEMPORARY" in refused.err) == (2, True), refused.err
            told = named("doctor", "-o", "json").data
            assert any("may not make temporary tables" in each["detail"] for each in told)
            assert shell("db", "roles").code == 0
            assert named("once").code == 0
        finally:
            dba.execute(f"DROP OWNED BY {url.database}_w".encode())
            dba.execute(f"DROP ROLE {url.database}_w".encode())


def test_a_dbas_limits_do_not_end_the_work_and_questions_name_theirs(
    shell: Shell, database_url: str, engine: Engine
) -> None:
    name = database.normalise_url(database_url).database
    plain = database.normalise_url(database_url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as dba:
        for limit in ("statement_timeout", "transaction_timeout", "idle_session_timeout"):
            dba.execute(f"ALTER DATABASE {name} SET {limit} = '100ms'".encode())
        fresh = database.make_engine(database_url, application="tests")
        with database.transaction(fresh) as connection:
            connection.exec_driver_sql("SELECT pg_sleep(0.3)")
            connection.exec_driver_sql("SELECT pg_sleep(0.3)")
        fresh.dispose()
        assert shell("once").code == 0
        dba.execute(f"ALTER DATABASE {name} RESET ALL".encode())
    asking = database.read_only(engine, timeout_s=0.3)
    with (
        pytest.raises(TooSlow, match=r"longer than its limit of 0\.3 s"),
        database.transaction(asking) as connection,
    ):
        connection.exec_driver_sql("SELECT pg_sleep(5)")
    with pytest.raises(TooSlow, match="canceling statement due to user request"):
        _cancelled(engine, plain)


def _cancelled(engine: Engine, url: URL) -> None:
    with database.transaction(engine) as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()

        def cancel() -> None:
            with psycopg.connect(url.render_as_string(hide_password=False)) as dba:
                dba.execute("SELECT pg_cancel_backend(%s)", (pid,))

        timer = threading.Timer(0.3, cancel)
        timer.start()
        connection.exec_driver_sql("SELECT pg_sleep(5)")
