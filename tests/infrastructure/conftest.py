"""What stands in for AWS: moto as a server, the local Lambda, and a stand-in `docker`.

There is no container engine and no account here. `aws` is the real command, from a virtual
environment of its own (`make infra` makes it); the scripts and the template are the real ones.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from moto.cloudformation.parsing import resource_class_from_type
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[2]
LAMBDA = ROOT / "lambda"
TOOLS = Path(sys.executable).parents[1] / "tools" / "bin"

EMULATED = "function"
"""The name that the emulator answers to."""

UNKNOWN_TO_MOTO = frozenset(
    """
    ApiGateway::ApiKey ApiGateway::Stage ApiGateway::UsagePlan ApiGateway::UsagePlanKey
    ApiGatewayV2::Api ApiGatewayV2::Integration ApiGatewayV2::Route ApiGatewayV2::Stage
    Budgets::Budget CloudWatch::Alarm CodeDeploy::Application CodeDeploy::DeploymentGroup
    Lambda::Alias Lambda::EventInvokeConfig Logs::MetricFilter
    """.split()
)

BROKEN_AT_MOTO = frozenset(("Events::Rule",))
"""Updating a stack whose condition leaves it out ends in an error there."""

_TRANSLATE = """
import json, sys
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse
class Policies:
    def load(self): return {}
template = yaml_parse(open(sys.argv[1]))
parameters = {n: p.get("Default", "") for n, p in template["Parameters"].items()}
json.dump(transform(template, parameters, Policies()), sys.stdout)
"""

_DOCKER = """#!/bin/sh
# Stands in for an engine: says what a deployment asks of it, and pushes a manifest of nothing.
echo "$@" >> "$DOCKER_LOG"
case "$1" in
    buildx) echo sha256:1111111111111111111111111111111111111111111111111111111111111111 ;;
    login) cat > /dev/null ;;
    push)
        digest=$(date +%s%N)
        manifest='{"schemaVersion": 2, "config": {"digest": "'$digest'"},
                   "layers": [{"size": 1, "digest": "'$digest'"}]}'
        type=application/vnd.docker.distribution.manifest.v2+json
        image=${2##*/}
        aws ecr put-image --repository-name "${image%%:*}" --image-tag "${image##*:}" \\
            --image-manifest "$manifest" --image-manifest-media-type "$type" > /dev/null ;;
esac
"""


@pytest.fixture(scope="session")
def tools() -> Path:
    assert (TOOLS / "aws").exists(), "the tools are not installed: make infra"
    return TOOLS


@pytest.fixture(scope="session")
def checkov() -> Path:
    """In a virtual environment of its own: it pins a hundred packages to one release each."""
    program = TOOLS.parents[1] / "checkov" / "bin" / "checkov"
    assert program.exists(), "checkov is not installed: make infra"
    return program


@pytest.fixture(scope="session")
def rie(tools: Path) -> Path:
    """AWS's runtime interface emulator, where test-local.sh looks for it too."""
    packages = next(tools.parent.glob("lib/python*/site-packages"))
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    binary = packages / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{machine}"
    executable = tools / "aws-lambda-rie"
    if not executable.exists():  # another process may be running it
        copy = executable.with_suffix(f".{os.getpid()}")
        copy.write_bytes(binary.read_bytes())
        copy.chmod(0o755)
        copy.rename(executable)
    return executable


@pytest.fixture(scope="session")
def emulator(rie: Path) -> Iterator[str]:
    """The handler under it; one call at a time."""
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, api = free.getsockname()[1], other.getsockname()[1]
    process = subprocess.Popen(
        [
            *(rie, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{api}"),
            *(sys.executable, "-m", "awslambdaric", "sentiment_function.handler.handler"),
        ],
        cwd=LAMBDA,
        env=os.environ | {"OMP_NUM_THREADS": "1", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _until_open(port)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def _until_open(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the emulator does not listen")


@pytest.fixture(scope="session")
def translated(tools: Path) -> dict[str, Any]:
    """The template as CloudFormation sees it, translated by AWS's own translator."""
    return _translated(tools, LAMBDA / "template.yaml")


@pytest.fixture(scope="session")
def transcription(tools: Path) -> dict[str, Any]:
    """The same of the transcription function's template."""
    return _translated(tools, LAMBDA / "transcription" / "template.yaml")


def _translated(tools: Path, file: Path) -> dict[str, Any]:
    done = subprocess.run(
        [tools / "python", "-c", _TRANSLATE, file],
        capture_output=True,
        check=True,
        env=os.environ | {"AWS_DEFAULT_REGION": "eu-central-1"},
    )
    template: dict[str, Any] = json.loads(done.stdout)
    return template


@dataclass
class Aws:
    """An account at moto, and a shell that is logged in there."""

    folder: Path
    url: str
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, *command: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, command)),
            cwd=self.folder,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=170,
            check=False,
        )

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name="eu-central-1",
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


def _as_moto_knows_it(translated: dict[str, Any]) -> str:
    """Without what CloudFormation at moto does not know; what refers to the alias refers to the
    function instead."""
    alias, function = '{"Ref": "FunctionAliaslive"}', '{"Fn::GetAtt": ["Function", "Arn"]}'
    template = json.loads(json.dumps(translated).replace(alias, function))
    for service in ("apigateway", "cloudwatch"):  # known once they are loaded
        get_backend(service)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unknown = {
            name
            for name, resource in template["Resources"].items()
            if resource_class_from_type(resource["Type"]) is None
            or resource["Type"].removeprefix("AWS::") in BROKEN_AT_MOTO
        }
    types = {template["Resources"][name]["Type"].removeprefix("AWS::") for name in unknown}
    assert types <= UNKNOWN_TO_MOTO | BROKEN_AT_MOTO, "what is not tried there is on this list"
    for part in ("Resources", "Outputs"):
        template[part] = {
            name: value
            for name, value in template[part].items()
            if name not in unknown and not _mentions(value, unknown)
        }
    return json.dumps(template)


def _mentions(value: Any, names: set[str]) -> bool:
    text = json.dumps(value)
    return any(f'"{name}"' in text or f"${{{name}" in text for name in names)


@pytest.fixture(scope="session")
def aws(
    tools: Path,
    translated: dict[str, Any],
    transcription: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Aws]:
    tmp_path = tmp_path_factory.mktemp("aws")
    template = tmp_path / "template.json"
    template.write_text(_as_moto_knows_it(translated), encoding="utf-8")
    other = tmp_path / "transcription.json"
    other.write_text(_as_moto_knows_it(transcription), encoding="utf-8")
    stand_ins = tmp_path / "bin"
    stand_ins.mkdir()
    (stand_ins / "docker").write_text(_DOCKER)
    (stand_ins / "docker").chmod(0o755)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    yield Aws(
        tmp_path,
        url,
        {
            "PATH": f"{stand_ins}:{tools}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_PAGER": "",
            "TEMPLATE": str(template),
            "BASE_DIGEST": f"sha256:{'1' * 64}",
            "DOCKER_LOG": str(tmp_path / "docker.log"),
        },
    )
    server.stop()
