"""The page, served by the installed command, and asked over HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.acceptance.command import Shell


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class Site:
    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, path: str, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode())
        finally:
            connection.close()

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """As a form of a page of this site sends it, unless `headers` say otherwise."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        usual = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"http://127.0.0.1:{self.port}",
        }
        try:
            connection.request("POST", path, urlencode(fields), headers=usual | headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode())
        finally:
            connection.close()

    def json(self, path: str, **wanted: Any) -> Any:
        answer = self(f"/api/v1{path}?{urlencode(wanted)}")
        assert answer.status == 200, answer.text
        return json.loads(answer.text)


def served(shell: Shell, *arguments: str, **variables: str) -> AbstractContextManager[Site]:
    return listening(shell, "dashboard", "--address", *arguments, **variables)


@contextmanager
def listening(
    shell: Shell, command: str, option: str, *arguments: str, **variables: str
) -> Iterator[Site]:
    """A command that serves HTTP at the address that this option names."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = (option, f"127.0.0.1:{port}")
    with shell.started(command, *address, *arguments, **variables) as process:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                said = (shell.folder / "started.log").read_text()
                assert process.poll() is None, said
                time.sleep(0.05)
        yield Site(port)
        process.terminate()
        assert process.wait(20) in (0, 143, -15)
