"""What the tests of images share: the images, a database, and the function's image under AWS's
emulator."""

from __future__ import annotations

import platform
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.proxy import PostgresProxy
from tests.faults.server import Server
from tests.images import engine
from tests.images.engine import Image

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> None:
    tools = Path(sys.executable).parents[1] / "tools"
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    found = f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
    engine.make_bases(next(tools.glob(found)), tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="session")
def worker(bases: None) -> Image:
    return engine.build("sentiment-worker", "deploy/Dockerfile", ".")


@pytest.fixture(scope="session")
def local(bases: None) -> Image:
    return engine.build("sentiment-worker:local", "deploy/Dockerfile", ".", "--target", "local")


@pytest.fixture(scope="session")
def page(bases: None) -> Image:
    return engine.build("sentiment-worker:page", "deploy/Dockerfile", ".", "--target", "page")


@pytest.fixture(scope="session")
def function(bases: None) -> Image:
    model = ("--build-arg", "MODEL_NAME=embedded")
    return engine.build("sentiment-function", "lambda/Dockerfile", "lambda", *model)


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database, over TCP: a container has no way to a socket of this machine."""
    home = tmp_path_factory.mktemp("database")
    with Server(home) as server, PostgresProxy(server.socket, Random(0)) as proxy:
        with server.connect("postgres") as admin:
            admin.execute("CREATE DATABASE images")
        yield f"postgresql://postgres@127.0.0.1:{proxy.port}/images"


@pytest.fixture(scope="session")
def emulator(function: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The function's image, as it starts by itself."""
    log = tmp_path_factory.mktemp("function") / "log"
    port, api = free_port(), free_port()
    entry, command = function.config["Entrypoint"], function.config["Cmd"]
    rie = ["/usr/local/bin/aws-lambda-rie", "--runtime-interface-emulator-address",
           f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{api}"]  # fmt: skip
    assert entry == ["/lambda-entrypoint.sh"]
    python = ["/var/lang/bin/python", "-m", "awslambdaric"]
    paths = {"PYTHONPATH": f"{variables(function)['PYTHONPATH']}:/var/runtime"}
    with function.running(*rie, *python, *command, log=log, variables=paths) as process:
        wait_for(port, process.poll, log)
        yield f"http://127.0.0.1:{port}"


def variables(image: Image) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in image.config["Env"])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int, ended: object, log: Path) -> None:
    for _ in range(300):
        assert not callable(ended) or ended() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())
