"""Assistants' tools by the installed command, asked by the protocol's own client over stdio."""

from __future__ import annotations

import http.client
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TextIO

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.acceptance.command import COMMAND, Shell
from tests.acceptance.site import Site, listening
from tests.acceptance.stored import HOSTILE, stored
from tests.conftest import cloned
from tests.scripted_lambda import ScriptedLambda

WEEK = {"since": "2026-03-15", "until": "2026-03-21"}


class Assistant:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def ask(self, tool: str, **arguments: Any) -> Any:
        answer = await self.client.call_tool(tool, arguments)
        assert not answer.is_error, answer.content
        return answer.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        answer = await self.client.call_tool(tool, arguments)
        assert answer.is_error
        assert answer.structured_content is None
        return str(answer.content[0].text)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def shell(
    tmp_path_factory: pytest.TempPathFactory, server_url: str, template: str
) -> Iterator[Shell]:
    with cloned(server_url, template) as url, ScriptedLambda() as server:
        yield stored(tmp_path_factory.mktemp("assistants"), url, server)


def talk(shell: Shell, scene: Callable[[Assistant], Awaitable[None]], mode: Any = "auto") -> str:
    """Play a scene; what the server said on stderr."""
    parameters = StdioServerParameters(
        command=str(COMMAND), args=["mcp"], env=shell.variables, cwd=shell.folder
    )

    async def whole(log: TextIO) -> None:
        with anyio.fail_after(60):
            server = stdio_client(parameters, errlog=log)
            async with Client(server, mode=mode, read_timeout_seconds=30) as client:
                await scene(Assistant(client))

    with open(shell.folder / "mcp.log", "w", encoding="utf-8") as log:
        anyio.run(whole, log)
    return (shell.folder / "mcp.log").read_text()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_five_tools_that_only_read(shell: Shell, mode: str) -> None:
    async def scene(assistant: Assistant) -> None:
        tools = {tool.name: tool for tool in (await assistant.client.list_tools()).tools}
        assert list(tools) == ["find", "trend", "compare", "terms", "explain_day", "drill_down"]
        for tool in tools.values():
            assert tool.description
            assert tool.annotations
            assert tool.annotations.read_only_hint
            assert tool.output_schema
        assert tools["find"].input_schema["properties"]["limit"]["maximum"] == 50
        assert "untrusted_text" in str(assistant.client.instructions)

    assert "Traceback" not in talk(shell, scene, mode)


def test_what_upset_people_and_since_when(shell: Shell) -> None:
    async def scene(assistant: Assistant) -> None:
        first = await assistant.ask("compare", **WEEK)
        assert [group["untrusted_name"] for group in first["groups"]] == ["reviews"]
        assert first["other_tags"] == ["product"]
        by_product = await assistant.ask("compare", by="product", **WEEK)
        nets = {g["untrusted_name"]: g["counted"]["net"] for g in by_product["groups"]}
        assert nets["b"] == -1 < nets["a"]
        trend = await assistant.ask("trend", tag="product", value="b", **WEEK)
        assert trend["total"]["records"] == 42 == sum(day["records"] for day in trend["days"])
        assert trend["before"]["net"] > trend["total"]["net"]
        day = await assistant.ask("explain_day", day="2026-03-15")
        assert "no clear change" in day["verdict"], "of twelve records each"
        assert day["movers"][0]["untrusted_name"] == "b"
        found = await assistant.ask("find", words="bad day", label="negative", limit=3, **WEEK)
        assert len(found["records"]) == 3
        assert found["truncated"]
        whole = await assistant.ask("drill_down", record_id=found["records"][0]["record_id"])
        assert whole["scores"][0]["label"] == "negative"

    talk(shell, scene)


def test_what_strangers_wrote_stands_in_marked_fields_alone(shell: Shell) -> None:
    async def scene(assistant: Assistant) -> None:
        found = await assistant.ask("find", words="alert")
        (record,) = found["records"]
        assert record.pop("untrusted_text") == HOSTILE
        assert "alert" not in json.dumps(found)
        day = json.dumps(await assistant.ask("explain_day", day="2026-03-21"))
        rest = day.replace(json.dumps({"untrusted_text": HOSTILE})[1:-1], "")
        assert "<script" not in rest
        assert "provisional" in rest
        compared = await assistant.ask("compare", by="product", **WEEK)
        names = {group.pop("untrusted_name") for group in compared["groups"]}
        assert '"><i>' in names
        assert "<i>" not in json.dumps(compared)

    talk(shell, scene)


def test_what_cannot_be_asked_is_said_without_a_secret(shell: Shell) -> None:
    async def scene(assistant: Assistant) -> None:
        assert "nobody" in await assistant.refused("trend", source="nobody")
        assert "record 999999" in await assistant.refused("drill_down", record_id=999_999)
        assert "less than or equal to 50" in await assistant.refused("find", limit=1000)
        assert "Extra inputs" in await assistant.refused("find", qeury="x")
        assert "2026-01-31" in await assistant.refused("explain_day", day="0")
        assert "days; ask for" in await assistant.refused("trend", since="2000-01-01")
        assert "There are: product" in await assistant.refused("compare", by="weather", **WEEK)
        assert "together" in await assistant.refused("trend", tag="product")
        assert await assistant.refused("find", words="a\0b")
        everything = {"order": "oldest", "since": "2026-03-01", "limit": 50}
        assert len((await assistant.ask("find", **everything))["records"]) == 50

    said = talk(shell, scene)
    assert "Traceback" not in said
    assert shell.variables["DATABASE_URL"] not in said


def over_http(site: Site, scene: Callable[[Assistant], Awaitable[None]], token: str | None) -> None:
    async def whole() -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with anyio.fail_after(60):
            async with httpx2.AsyncClient(headers=headers, timeout=30) as asked:
                server = streamable_http_client(
                    f"http://127.0.0.1:{site.port}/mcp", http_client=asked
                )
                async with Client(server, read_timeout_seconds=30) as client:
                    await scene(Assistant(client))

    anyio.run(whole)


def test_a_service_over_http_answers_as_over_stdio(shell: Shell) -> None:
    told: list[Any] = []

    async def scene(assistant: Assistant) -> None:
        tools = [tool.name for tool in (await assistant.client.list_tools()).tools]
        told.append((tools, await assistant.ask("compare", by="product", **WEEK)))
        assert "nobody" in await assistant.refused("trend", source="nobody")

    with listening(shell, "mcp", "--http") as site:
        over_http(site, scene, None)
    with listening(shell, "mcp", "--http", SENTIMENT_DASHBOARD_TOKEN="s3cret-token") as site:
        over_http(site, scene, "s3cret-token")
    talk(shell, scene)
    assert told[0] == told[1] == told[2]


ASKED = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}})


def test_over_http_nobody_gets_in_who_may_not(shell: Shell) -> None:
    def ask(site: Site, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
        accepted = {"Content-Type": "application/json",
                    "Accept": "application/json, text/event-stream",
                    "MCP-Protocol-Version": "2025-06-18"}  # fmt: skip
        connection.request("POST", "/mcp", ASKED, accepted | headers)
        status = connection.getresponse().status
        connection.close()
        return status

    with listening(shell, "mcp", "--http", SENTIMENT_DASHBOARD_TOKEN="s3cret-token") as site:
        assert ask(site) == 401
        assert ask(site, Authorization="Bearer wrong") == 401
        assert ask(site, Authorization="Bearer s3cret-token", Host="elsewhere.example") == 421
        assert ask(site, Authorization="Bearer s3cret-token") == 200
    with listening(shell, "mcp", "--http") as site:  # on loopback whoever is there may ask
        assert ask(site) == 200
        assert ask(site, Origin="https://elsewhere.example") == 403  # but no page in a browser
        assert ask(site, Origin="null") == 403
        assert ask(site, **{"Sec-Fetch-Site": "cross-site"}) == 403
    with listening(shell, "mcp", "--http", "--user-header", "X-User") as site:
        assert ask(site) == 401
        assert ask(site, **{"X-User": "ann"}) == 200


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--http", "0.0.0.0:0"], "could read every record"),
        (["--http", "8091"], "--http '8091': write host:port"),
        (["--host", "x"], "are of --http"),
        (["--user-header", "X-User"], "are of --http"),
    ],
)
def test_a_service_that_would_be_open_does_not_start(
    shell: Shell, arguments: list[str], told: str
) -> None:
    done = shell("mcp", *arguments)
    assert (done.code, told in done.err) == (2, True), done.err
