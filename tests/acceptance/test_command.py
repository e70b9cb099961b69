"""What the README promises, by the installed command."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import Engine

from tests.acceptance.command import COMMAND, Shell
from tests.conftest import DATA, needs_data
from tests.scripted_lambda import ScriptedLambda, aws_error, scored

CANARY = "canary-7f3a"


@pytest.fixture
def shell(tmp_path: Path, database_url: str, local_lambda: str) -> Shell:
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=local_lambda,
        AWS_REGION="local",
        SENTIMENT_MAX_CONCURRENCY="2",
    )


def write(shell: Shell, name: str, text: str) -> Path:
    path = shell.folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_without_any_configuration(shell: Shell) -> None:
    write(shell, "reviews.csv", "id,text\n1,I love this\n2,This is terrible\n3,\n")
    done = shell("once", "reviews.csv", "--output", "json")
    assert done.code == 0, done.err
    (report,) = done.data
    assert (report["source"], report["state"]) == ("reviews", "done")
    assert report["counters"]["scored"] == 2
    rows = {row["external_id"]: row for row in shell("scores", "-o", "json").data}
    assert rows["1"]["label"] == "positive"
    assert rows["2"]["label"] == "negative"
    assert rows["3"]["skip_reason"] == "empty"
    assert rows["1"]["model_version"] == "1.0.0"
    again = shell("once", "reviews.csv", "--output", "json").data[0]["counters"]
    assert again["invocations"] == again["read"] == 0


def test_embedded_everything_and_nothing_left_running(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    shell = Shell(tmp_path, SENTIMENT_HOME=str(tmp_path / "my home %41"))
    first = shell("demo")
    assert first.code == 0, first.err
    assert re.search(r"records +381", first.out)
    assert "6 records have no score" in first.out
    assert "No score is provisional" in first.out
    assert "Net polarity by day" in first.out
    assert "Most negative" in first.out
    second = shell("demo")
    assert second.code == 0, second.err
    assert "0 read, 0 new" in second.err
    assert shell("doctor").code == 0
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or [])
    ]
    assert left == []


def test_a_named_database_is_never_migrated_silently(
    tmp_path: Path, empty_database_url: str
) -> None:
    shell = Shell(tmp_path, DATABASE_URL=empty_database_url, USE_LAMBDA_SENTIMENT="0")
    write(shell, "a.csv", "id,text\n1,fine\n")
    refused = shell("once", "a.csv")
    assert refused.code == 2
    assert "sentiment-worker db upgrade" in refused.err
    assert shell("db", "check").code == 2
    assert shell("db", "upgrade").code == 0
    assert shell("db", "check").code == 0
    assert shell("once", "a.csv").code == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "said"),
    [
        (("once",), {}, 2, "No source is configured"),
        (("once", "nope.csv"), {}, 1, "There is no file"),
        (("once", "a.csv", "--text", "nope"), {}, 2, "no column 'nope'"),
        (("once", "a.csv", "--timezone", "Mars"), {}, 2, "no time zone"),
        (("once", "--config", "nope.toml"), {}, 2, "cannot be read"),
        (("status",), {"DATABASE_URL": "mysql://x"}, 2, "PostgreSQL only"),
        (
            ("status",),
            {"DATABASE_URL": f"postgresql://u:{CANARY}@127.0.0.1:1/x"},
            3,
            "does not answer",
        ),
        (
            ("status",),
            {"DATABASE_URL": f"postgresql://u:p@{CANARY}@127.0.0.1:1/x"},
            2,
            "more than one @",
        ),
        (("status",), {"DATABASE_URL": f"postgresql://u:{CANARY}"}, 2, "not a database URL"),
        (
            ("status",),
            {"DATABASE_URL": f"postgresql://u@127.0.0.1:1/x?pasword={CANARY}"},
            2,
            "The database refused",
        ),
        (("status",), {"DATABASE_URL": "", "SENTIMENT_HOME": "/proc/nope"}, 2, "cannot be made"),
        (("once", "a.csv", "./a.csv"), {}, 2, "one source named 'a'"),
        (("doctor",), {"DATABASE_URL": "postgresql://u@127.0.0.1:1/x"}, 3, ""),
        (("scores", "--since", "soon"), {}, 2, "no time"),
        (("scores", "--limit", "0"), {}, 2, "limit"),
        (("quarantine", "show", "99"), {}, 2, "no row 99"),
        (("nonsense",), {}, 2, "No such command"),
        (("once", "a.csv"), {"LAMBDA_AUTH_METHOD": "keys"}, 2, "AWS_ACCESS_KEY_ID"),
        (("once", "a.csv"), {"LAMBDA_FUNCTION_NAME": "other"}, 2, "no such function"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_exit_code(
    shell: Shell, arguments: tuple[str, ...], variables: dict[str, Any], code: int, said: str
) -> None:
    write(shell, "a.csv", "id,text\n1,fine\n")
    done = shell(*arguments, **variables, SENTIMENT_DATABASE_PATIENCE="1s")
    assert said in done.err
    assert done.code == code
    assert "Traceback" not in done.err
    assert CANARY not in done.err + done.out


def test_rows_in_quarantine_end_with_code_5_and_can_be_looked_at(shell: Shell) -> None:
    write(shell, "a.csv", "id,text\n1,fine\n2\n3,\x1b[31mred\x07,x\n")
    done = shell("once", "a.csv")
    assert done.code == 5
    assert "2 rows went to quarantine" in done.err
    rows = shell("quarantine", "list", "-o", "json").data
    assert {row["offset"] for row in rows} == {"line 3", "line 4"}
    shown = shell("quarantine", "show", rows[0]["id"]).out
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_configured_sources(shell: Shell) -> None:
    write(shell, "a.jsonl", '{"key": 1, "say": "I love this"}\n')
    write(
        shell,
        "sentiment-worker.toml",
        f"""
        aws_secret_access_key = "{CANARY}"
        [[source]]
        name = "jsonl"
        kind = "file"
        path = "*.jsonl"
        id = "key"
        text = "say"
        [[source]]
        name = "broken"
        kind = "sql"
        url = "postgresql://u:{CANARY}@127.0.0.1:1/x?connect_timeout=1"
        table = "t"
        """,
    )
    one = shell("once", "--source", "jsonl")
    assert one.code == 0, one.err
    both = shell("once")
    assert both.code == 1
    assert "does not answer" in both.err
    assert shell("config", "validate").code == 0
    shown = shell("config", "show", "-o", "json")
    assert shown.data["settings"]
    doctor = shell("doctor")
    assert doctor.code == 1
    for done in (one, both, shown, doctor):
        assert CANARY not in done.out + done.err


def test_sigterm_ends_with_143_and_the_next_run_finishes(shell: Shell) -> None:
    rows = "".join(f"{n},I love number {n}\n" for n in range(8_000))
    write(shell, "a.csv", "id,text\n" + rows)
    with shell.started("once", "a.csv") as process:
        _until(lambda: _scored(shell) > 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 143
    assert 0 < _scored(shell) < 8_000
    assert shell("once", "a.csv").code == 0
    assert _scored(shell) == 8_000


def test_kill_9_loses_and_doubles_nothing(shell: Shell) -> None:
    rows = "".join(f"{n},I love number {n}\n" for n in range(4_000))
    write(shell, "a.csv", "id,text\n" + rows)
    shell.variables["SENTIMENT_LEASE"] = "10s"
    with shell.started("once", "a.csv") as process:
        _until(lambda: _scored(shell) > 0)
        process.kill()
        process.wait()
    done = shell("once", "a.csv", "-o", "json")
    assert done.code == 0, done.err
    assert _scored(shell) == 4_000
    states = [row["state"] for row in shell("runs", "-o", "json").data]
    assert states == ["done", "lost"]


def test_a_second_run_of_the_same_source_ends_with_code_4(shell: Shell) -> None:
    rows = "".join(f"{n},I love number {n}\n" for n in range(12_000))
    write(shell, "a.csv", "id,text\n" + rows)
    with shell.started("once", "a.csv") as process:
        _until(lambda: _scored(shell) > 0)
        assert shell("once", "a.csv").code == 4
        assert process.wait(60) == 0


def test_serve_pulls_on_its_rhythm_survives_an_outage_and_drains(
    tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda
) -> None:
    shell = Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        SENTIMENT_CIRCUIT_WINDOW="1s",
    )
    file = write(shell, "a.csv", "id,text\n1,good\n")
    write(
        shell,
        "sentiment-worker.toml",
        '[[source]]\nname = "a"\nkind = "file"\npath = "a.csv"\nevery = "1s"\n',
    )
    with shell.started("serve") as first, shell.started("serve") as second:
        _until(lambda: _labels(shell) == {"1": ("positive", False)})
        scripted_lambda.script = lambda request, n: aws_error(403, "AccessDeniedException")
        file.write_text("id,text\n1,good\n2,a terrible bad thing\n", encoding="utf-8")
        _until(lambda: _labels(shell).get("2") == ("negative", True))
        scripted_lambda.script = lambda request, n: scored(request)
        _until(lambda: _labels(shell).get("2") == ("negative", False), seconds=40)
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
        assert [process.wait(40) for process in (first, second)] == [0, 0]
    good = [r for r in scripted_lambda.requests if r["texts"] == ["good"]]
    assert len(good) == 1, "two processes, and it was sent once"


def test_serve_outlives_its_database_and_stops_when_told(
    tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda, engine: Engine
) -> None:
    shell = Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
    )
    file = write(shell, "a.csv", "id,text\n1,good\n")
    write(
        shell,
        "sentiment-worker.toml",
        '[[source]]\nname = "a"\nkind = "file"\npath = "a.csv"\nevery = "1s"\n',
    )
    with shell.started("serve") as process:
        _until(lambda: _labels(shell) == {"1": ("positive", False)})
        with _closed(engine):
            time.sleep(3)
            assert process.poll() is None
        file.write_text("id,text\n1,good\n2,bad\n", encoding="utf-8")
        _until(lambda: _labels(shell).get("2") == ("negative", False), seconds=40)
        with _closed(engine):
            time.sleep(1.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0


@contextmanager
def _closed(engine: Engine) -> Iterator[None]:
    """The database, away: every session ended, no new one let in."""
    admin = engine.url.set(drivername="postgresql", database="postgres")
    name = engine.url.database
    engine.dispose()
    with psycopg.connect(
        admin.render_as_string(hide_password=False), autocommit=True
    ) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        yield
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


@needs_data
def test_two_more_real_files(shell: Shell) -> None:
    ingest = DATA / "ingest"
    refused = shell("once", ingest / "hacker_news.csv")
    assert refused.code == 2
    assert "--time-format" in refused.err
    alexa = shell(
        "once", ingest / "amazon_alexa.tsv", "--text", "verified_reviews", "--timezone", "UTC",
        "-o", "json",
    )  # fmt: skip
    c = alexa.data[0]["counters"]
    assert alexa.code == 0
    assert c["read"] == 3_150
    assert c["new"] == c["scored"] + c["skipped"]


def _scored(shell: Shell) -> int:
    return sum(int(row["scored"]) for row in shell("runs", "-o", "json").data)


def _labels(shell: Shell) -> dict[str, Any]:
    rows = shell("scores", "-o", "json").data
    return {row["external_id"]: (row["label"], row["provisional"]) for row in rows}


def _until(condition: Any, *, seconds: float = 25) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_the_command_is_the_installed_one() -> None:
    assert COMMAND.exists()
