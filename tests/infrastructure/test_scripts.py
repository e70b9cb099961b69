"""deploy.sh and quick-deploy.sh, run for real by the real `aws` against moto. `docker` is a
stand-in (conftest.py): there is no engine here, and nothing in it is tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.infrastructure.conftest import LAMBDA, Aws

DEPLOY, QUICK = LAMBDA / "deploy.sh", LAMBDA / "quick-deploy.sh"
NAME = "sentiment-analysis"


@pytest.fixture
def deployed(aws: Aws) -> Aws:
    done = aws(DEPLOY, "deploy", MEMORY_SIZE="1024", ALARM_EMAIL="ops@example.org")
    assert done.returncode == 0, done.stderr
    return aws


def parameters(aws: Aws, name: str = NAME) -> dict[str, str]:
    (stack,) = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}


@pytest.mark.parametrize("script", [DEPLOY, QUICK, LAMBDA / "test-local.sh"])
def test_help_and_nonsense(aws: Aws, script: Path) -> None:
    helped = aws(script, "--help")
    assert helped.returncode == 0
    assert helped.stdout.startswith("Usage:")
    assert aws(script, "nonsense").returncode == 2


def test_from_nothing_to_a_function(aws: Aws, local_lambda: str) -> None:
    done = aws(QUICK, AWS_ENDPOINT_URL_LAMBDA=local_lambda, LAMBDA_FUNCTION_NAME="sentiment")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"count": 2' in done.stdout, "the last step calls the function (the local Lambda)"
    function = aws.client("lambda").get_function(FunctionName="sentiment")
    assert function["Configuration"]["MemorySize"] == 1769
    assert "@sha256:" in parameters(aws, "sentiment")["ImageUri"]
    docker = (aws.folder / "docker.log").read_text()
    assert f"--build-arg BASE_DIGEST=@sha256:{'1' * 64}" in docker
    assert "--platform linux/amd64" in docker


def test_what_is_missing_is_named_and_nothing_done(aws: Aws) -> None:
    (aws.folder / "bin" / "docker").unlink()
    done = aws(QUICK, "--check", AWS_REGION="", AWS_DEFAULT_REGION="")
    assert done.returncode == 2
    assert "missing  docker" in done.stdout
    assert "missing  region" in done.stdout
    assert aws.client("cloudformation").list_stacks()["StackSummaries"] == []


def test_deploying_again_keeps_what_was_set(deployed: Aws) -> None:
    before = parameters(deployed)
    assert (before["MemorySize"], before["AlarmEmail"]) == ("1024", "ops@example.org")
    assert deployed(DEPLOY, "deploy", TIMEOUT="30").returncode == 0
    after = parameters(deployed)
    assert (after["MemorySize"], after["Timeout"]) == ("1024", "30")
    assert before["ImageUri"] != after["ImageUri"]


def test_what_moto_knows_of_the_template_is_there(deployed: Aws) -> None:
    body = deployed.client("cloudwatch").get_dashboard(DashboardName=NAME)["DashboardBody"]
    titles = [widget["properties"]["title"] for widget in json.loads(body)["widgets"]]
    assert "Invocations and errors" in titles
    assert "Concurrency" in titles
    queues = deployed.client("sqs").list_queues()["QueueUrls"]
    assert {url.rsplit("/", 1)[1] for url in queues} == {f"{NAME}-on-success", f"{NAME}-on-failure"}
    (group,) = deployed.client("logs").describe_log_groups(
        logGroupNamePrefix=f"/aws/lambda/{NAME}"
    )["logGroups"]
    assert group["retentionInDays"] == 14
    (repository,) = deployed.client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"


def test_rollback_goes_to_the_image_before(deployed: Aws) -> None:
    first = parameters(deployed)["ImageUri"]
    assert deployed(DEPLOY, "deploy").returncode == 0
    assert parameters(deployed)["ImageUri"] != first
    done = deployed(DEPLOY, "rollback")
    assert done.returncode == 0, done.stderr
    assert parameters(deployed)["ImageUri"] == first
    assert deployed(DEPLOY, "rollback").returncode == 2, "there is none before the first"


def test_stop_and_start(deployed: Aws) -> None:
    def reserved() -> int | None:
        client = deployed.client("lambda")
        found = client.get_function_concurrency(FunctionName=NAME)
        value: int | None = found.get("ReservedConcurrentExecutions")
        return value

    assert deployed(DEPLOY, "stop").returncode == 0
    assert reserved() == 0
    assert deployed(DEPLOY, "start").returncode == 0
    assert reserved() is None


def test_logs(deployed: Aws) -> None:
    logs, group = deployed.client("logs"), f"/aws/lambda/{NAME}"
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    now = int(__import__("time").time() * 1000) - 60_000
    for line in ("scored", "ERROR something"):
        logs.put_log_events(
            logGroupName=group, logStreamName="s", logEvents=[{"timestamp": now, "message": line}]
        )
    assert "scored" in deployed(DEPLOY, "logs", "--since", "10m").stdout
    assert deployed(DEPLOY, "logs", "--since", "soon").returncode == 2


def test_metrics_and_backup(deployed: Aws) -> None:
    done = deployed(DEPLOY, "metrics", "--days", "2")
    assert done.returncode == 0, done.stderr
    assert "Throttles" in done.stderr
    assert deployed(DEPLOY, "backup", "saved").returncode == 0
    saved = {file.name for file in (deployed.folder / "saved").iterdir()}
    assert saved == {"template.json", "stack.json", "function.json", "images.json"}
    function = json.loads((deployed.folder / "saved" / "function.json").read_text())
    assert function["MemorySize"] == 1024


def test_cleanup_asks_and_partial_keeps_the_images(deployed: Aws) -> None:
    refused = deployed(DEPLOY, "cleanup")
    assert refused.returncode == 2, "nobody is there to be asked"
    assert "--yes" in refused.stderr
    assert deployed(DEPLOY, "cleanup", "--partial", "--yes").returncode == 0
    assert deployed.client("lambda").list_functions()["Functions"] == []
    assert deployed.client("ecr").describe_images(repositoryName=NAME)["imageDetails"]
    assert deployed(DEPLOY, "cleanup", "--yes").returncode == 0
    assert deployed.client("ecr").describe_repositories()["repositories"] == []
    assert deployed(DEPLOY, "cleanup", "--yes").returncode == 0, "safe to repeat"


def test_no_code_of_a_model_is_trusted(aws: Aws) -> None:
    done = aws(DEPLOY, "deploy", TRUST_REMOTE_CODE="true")
    assert done.returncode == 2
    assert "TRUST_REMOTE_CODE" in done.stderr
