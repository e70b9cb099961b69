"""When `serve` reads a source: its time zone, its exceptions, and a source that keeps failing."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.acceptance.command import Shell

FILES = """
[[source]]
name = "good"
kind = "file"
path = "good.csv"
text = "text"
id = "id"
schedule = "30 2 * * *"
timezone = "America/New_York"
except = ["{today}"]

[[source]]
name = "broken"
kind = "sql"
url = "sqlite:///nowhere/missing.db"
table = "review"
text = "body"
id = "id"
every = "1s"
pause_after = 2
"""


@pytest.fixture
def shell(tmp_path: Path, database_url: str) -> Shell:
    (tmp_path / "good.csv").write_text("id,text\n1,The crew was wonderful.\n")
    today = f"{datetime.now(ZoneInfo('America/New_York')):%Y-%m-%d}"
    (tmp_path / "sentiment-worker.toml").write_text(FILES.format(today=today))
    return Shell(tmp_path, DATABASE_URL=database_url, USE_LAMBDA_SENTIMENT="0")


def within(seconds: float, found: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def listed(shell: Shell, source: str) -> dict[str, object]:
    rows = shell("schedule", "list", "--next", 400, "--output", "json").data
    return dict(next(row for row in rows if row["source"] == source))


def test_times_are_shown_in_utc_and_follow_the_zone(shell: Shell) -> None:
    shell("db", "upgrade")
    good = listed(shell, "good")
    times = [datetime.fromisoformat(str(at)).replace(tzinfo=UTC) for at in list(good["next"])]  # type: ignore[call-overload]
    assert "America/New_York" in str(good["rhythm"])
    assert {at.hour for at in times} == {6, 7}, "02:30 there, in summer and winter"


def test_a_source_that_keeps_failing_rests_and_says_why(shell: Shell) -> None:
    with shell.started("serve") as serve:
        within(60, lambda: listed(shell, "broken")["paused"])
        serve.terminate()
        assert serve.wait(20) == 0
    broken = listed(shell, "broken")
    assert "its last 2 runs failed" in str(broken["reason"])
    assert "until somebody resumes it" in str(broken["paused"])
    assert list(broken["last_runs"]).count("failed") == 2  # type: ignore[call-overload]
    paused = [row["paused"] for row in shell("status", "--output", "json").data]
    assert any("until somebody resumes it" in str(told) for told in paused)
    assert "source.paused_itself" in (shell.folder / "started.log").read_text()
    # Today is an exception of the other one: `serve` has not read it, and `once` does.
    assert listed(shell, "good")["last_runs"] == []
    assert shell("once", "--source", "good").code == 0
    assert shell("schedule", "resume", "broken").code == 0
    with shell.started("serve") as serve:
        within(30, lambda: len(list(listed(shell, "broken")["last_runs"])) >= 3)  # type: ignore[call-overload]
        within(60, lambda: listed(shell, "broken")["paused"])
