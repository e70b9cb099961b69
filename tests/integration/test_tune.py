"""`lambda tune`: the local Lambda as it is; and, with moto for Lambda's management and the local
Lambda for its answers, versions with other memory."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.acceptance.command import Shell

ROLE = '{"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}]}'


class Account:
    """Lambda's API in one address: management is moto's; a version that moto knows is answered by
    the local Lambda, and its report line says the version's memory. In this account (nowhere
    else) a call takes as long as its memory is small."""

    def __init__(self, moto: str, answers: str) -> None:
        self.called: list[tuple[str | None, int]] = []
        self._moto, self._answers = moto, answers

    def respond(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any, bytes]:
        found = re.fullmatch(r"/2015-03-31/functions/(.+)/invocations(?:\?Qualifier=(.+))?", path)
        if not found:
            return _forward(self._moto + path, method, headers, body)
        name, version = found.groups()
        status, _, config = _forward(
            f"{self._moto}/2015-03-31/functions/{name}/configuration"
            + (f"?Qualifier={version}" if version else ""),
            "GET", {k: v for k, v in headers.items() if k != "Content-Length"}, b"",
        )  # fmt: skip
        if status != 200:
            return status, {}, config
        memory_mb = json.loads(config)["MemorySize"]
        self.called.append((version, memory_mb))
        url = f"{self._answers}/2015-03-31/functions/sentiment/invocations"
        status, answered, payload = _forward(url, "POST", headers, body)
        tail = base64.b64decode(answered["X-Amz-Log-Result"]).decode()
        tail = re.sub(r"Memory Size: \d+", f"Memory Size: {memory_mb}", tail)
        billed = 40 * 1769 // memory_mb + 10
        tail = re.sub(r"Billed Duration: \d+", f"Billed Duration: {billed}", tail)
        return status, {"X-Amz-Log-Result": base64.b64encode(tail.encode()).decode()}, payload


def _forward(url: str, method: str, headers: Any, body: bytes) -> tuple[int, Any, bytes]:
    kept = {k: v for k, v in headers.items() if k.lower() not in ("host", "content-length")}
    request = urllib.request.Request(url, body or None, kept, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


@pytest.fixture
def account(local_lambda: str) -> Iterator[tuple[Account, str]]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    made = Account(f"http://{host}:{port}", local_lambda)
    _forward(f"{made._moto}/moto-api/reset", "POST", {}, b"")  # one state a process

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, payload = made.respond(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name in ("Content-Type", "X-Amz-Log-Result", "x-amzn-ErrorType"):
                if headers.get(name):
                    self.send_header(name, headers[name])
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815  http.server's names

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
    moto.stop()


@pytest.fixture
def function(account: tuple[Account, str]) -> Iterator[Any]:
    """A client, of an account with a function of 1,769 MB whose version 1 is `live`."""
    keys = {"region_name": "eu-central-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    iam = boto3.client("iam", endpoint_url=account[0]._moto, **keys)
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=ROLE)["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("handler.py", "def handler(event, context): ...")
    client = boto3.client("lambda", endpoint_url=account[1], **keys)
    client.create_function(
        FunctionName="sentiment", Runtime="python3.13", Role=role, Handler="handler.handler",
        Code={"ZipFile": packed.getvalue()}, MemorySize=1769,
    )  # fmt: skip
    client.publish_version(FunctionName="sentiment")
    client.create_alias(FunctionName="sentiment", Name="live", FunctionVersion="1")
    yield client
    client.close()
    iam.close()


@pytest.fixture
def shell(tmp_path: Path, account: tuple[Account, str]) -> Shell:
    return Shell(
        tmp_path,
        LAMBDA_FUNCTION_NAME="sentiment",
        LAMBDA_QUALIFIER="live",
        AWS_ENDPOINT_URL_LAMBDA=account[1],
        AWS_REGION="eu-central-1",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
    )


def _left(client: Any) -> tuple[int, list[str]]:
    """The memory of $LATEST, and which versions there are."""
    memory = client.get_function_configuration(FunctionName="sentiment")["MemorySize"]
    versions = client.list_versions_by_function(FunctionName="sentiment")["Versions"]
    return memory, [version["Version"] for version in versions]


def test_memory_sizes_are_versions_for_a_moment(
    shell: Shell, account: tuple[Account, str], function: Any
) -> None:
    before = _left(function)
    done = shell("lambda", "tune", "--memory", 512, "--memory", 3008, "--chunk", 5, "--chunk", 20,
                 "--calls", 3, "--yes", "--output", "json")  # fmt: skip
    assert done.code == 0, done.err
    rows = done.data["trials"]
    assert [(row["memory_mb"], row["texts"]) for row in rows] == [
        (512, 5), (512, 20), (3008, 5), (3008, 20),
    ]  # fmt: skip
    # 1 cold call a version, 3 of each size, none of them to the alias that production calls.
    called = account[0].called
    assert [memory for _, memory in called] == [512] * 7 + [3008] * 7
    assert not {version for version, _ in called} & {None, "1", "live"}
    assert _left(function) == before
    # 148 ms at 512 MB is 74 MB-seconds, 33 ms at 3,008 MB is 99: the smaller is cheaper.
    assert (done.data["recommended"]["memory_mb"], done.data["recommended"]["texts"]) == (512, 20)
    assert "SENTIMENT_CHUNK_TEXTS=20" in done.err


def test_it_says_what_it_would_do_and_asks(shell: Shell, function: Any) -> None:
    before = _left(function)
    for more in (["--dry-run"], []):  # without a terminal nobody can say yes
        done = shell("lambda", "tune", "--memory", 512, "--calls", 3, *more)
        assert "Publishes 1 version" in done.err
        assert "13 calls to sentiment" in done.err
        assert done.code == (0 if more else 1)
    assert _left(function) == before


def test_a_version_that_was_there_before_stays(shell: Shell, function: Any) -> None:
    """Nothing changes from 1,769 MB to 1,769 MB, and Lambda then gives the version that is live."""
    done = shell("lambda", "tune", "--memory", 1769, "--chunk", 5, "--calls", 3, "--yes")
    assert done.code == 0, done.err
    assert "1" in _left(function)[1]
    assert function.get_alias(FunctionName="sentiment", Name="live")["FunctionVersion"] == "1"


def test_who_may_not_change_the_function_is_told_what_it_takes(shell: Shell) -> None:
    done = shell("lambda", "tune", "--memory", 512, "--yes")
    assert done.code == 2
    assert "ResourceNotFoundException" in done.err
    assert "lambda:UpdateFunctionConfiguration" in done.err


def test_the_local_lambda_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("id,text\n1,I love it\n2,It broke at once\n3,\n")
    shell = Shell(tmp_path)
    done = shell("lambda", "tune", "--texts", "mine.csv", "--chunk", 1, "--chunk", 50)
    assert done.code == 0, done.err
    assert "2 different texts" in done.err
    assert re.search(r"Take 2048 MB and (1|50) texts a call", done.err)
    refused = shell("lambda", "tune", "--memory", 512)
    assert refused.code == 2
    assert "does not follow its memory" in refused.err
