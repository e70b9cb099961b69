"""An API and a feed, scored by the installed command as an operator configures them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Shell
from tests.integration.test_feed_source import RSS
from tests.scripted_lambda import ScriptedLambda, scored
from tests.web_api import Asked, Said, WebApi


@pytest.fixture
def api() -> Iterator[WebApi]:
    with WebApi(page_size=50) as api:
        yield api


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    scripted_lambda.script = lambda request, n: scored(request)
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        LAMBDA_FUNCTION_NAME="sentiment",
    )


def configured(shell: Shell, toml: str) -> None:
    (shell.folder / "sentiment-worker.toml").write_text(toml, encoding="utf-8")


DESK = """
[[source]]
name = "tickets"
kind = "http"
url = "{url}"
records = "tickets"
time = "time"
pagination = "cursor"
next = "meta.after_cursor"
since = "since"
headers = {{ X-Team = "lamps" }}
auth = {{ type = "bearer", token = "env://DESK_TOKEN" }}
allow_private = ["127.0.0.1"]
"""


def test_a_help_desk(shell: Shell, api: WebApi) -> None:
    api.put({n: f"a good day {n}" for n in range(120)})

    def hurdle(asked: Asked, n: int) -> Said | None:
        if asked.headers.get("authorization") != "Bearer hunter2-hunter2":
            return Said(401)
        assert asked.headers["x-team"] == "lamps"
        return Said(429, {}, {"Retry-After": "0"}) if n == 2 else None

    api.hurdle = hurdle
    configured(shell, DESK.format(url=api.url("desk")))
    missing = shell("once")
    assert missing.code == 2
    assert "env://DESK_TOKEN, which is empty or not set" in missing.err
    shell.variables["DESK_TOKEN"] = "wrong-token"
    wrong = shell("once")
    assert wrong.code in (1, 2), wrong.err
    assert "does not accept the credentials" in wrong.err
    assert "wrong-token" not in wrong.err
    shell.variables["DESK_TOKEN"] = "hunter2-hunter2"
    done = shell("once")
    assert done.code == 0, done.err
    assert "hunter2" not in done.err + done.out
    assert len(shell("scores", "--limit", 1000, "--output", "json").data) == 120
    api.put({n: f"a good day {n}" for n in range(125)})
    assert shell("once").code == 0
    assert len(shell("scores", "--limit", 1000, "--output", "json").data) == 125
    assert api.asked[-1].query["since"] == "2026-03-01T01:49:00Z"
    assert "hunter2" not in shell("config", "show").out
    state = shell("state", "get", "tickets")
    assert state.code == 0, state.err
    assert "hunter2" not in state.out


def test_a_feed(shell: Shell, api: WebApi) -> None:
    api.hurdle = lambda asked, n: Said(200, RSS, {"Content-Type": "application/rss+xml"})
    configured(
        shell,
        f'[[source]]\nname = "talk"\nkind = "feed"\nurl = "{api.url("feed")}"\n'
        'tags = ["category"]\nallow_private = ["127.0.0.1"]\n',
    )
    done = shell("once")
    assert done.code == 5, "one entry has no id"
    rows = shell("scores", "--output", "json").data
    assert {row["external_id"] for row in rows} == {"a-1", "https://shop.example/b"}
    assert shell("once").code in (0, 5)
    assert len(shell("scores", "--output", "json").data) == 2


def test_both_kinds_are_listed_and_a_slip_is_told(shell: Shell) -> None:
    listed = shell("sources", "kinds").out
    assert "http" in listed
    assert "feed" in listed
    configured(
        shell, '[[source]]\nname = "a"\nkind = "http"\nurl = "https://a.example"\nrecord = "x"\n'
    )
    refused = shell("config", "validate")
    assert refused.code == 2
    assert "records" in refused.err
    configured(shell, '[[source]]\nname = "a"\nkind = "feed"\nurl = "http://127.0.0.1:9/feed"\n')
    inside = shell("once")
    assert inside.code == 2
    assert 'allow_private = ["127.0.0.1"]' in inside.err
