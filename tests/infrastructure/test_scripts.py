"""deploy.sh and quick-deploy.sh, run for real by the real `aws` against moto. `docker` is a
stand-in (conftest.py): there is no engine here, and nothing in it is tested."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.infrastructure.conftest import LAMBDA, Aws

DEPLOY, QUICK = LAMBDA / "deploy.sh", LAMBDA / "quick-deploy.sh"
NAME = "sentiment-analysis"


def deploy(aws: Aws, name: str, **settings: str) -> None:
    done = aws(DEPLOY, "deploy", LAMBDA_FUNCTION_NAME=name, **settings)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def deployed(aws: Aws) -> Aws:
    """One function for the tests that only look at it; others deploy their own, by another name."""
    deploy(aws, NAME, MEMORY_SIZE="1024")
    return aws


def parameters(aws: Aws, name: str) -> dict[str, str]:
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
    assert "attach-role-policy --role-name MY-WORKER-ROLE --policy-arn" in done.stdout
    function = aws.client("lambda").get_function(FunctionName="sentiment")
    assert function["Configuration"]["MemorySize"] == 1769
    assert "@sha256:" in parameters(aws, "sentiment")["ImageUri"]
    docker = (aws.folder / "docker.log").read_text()
    assert f"--build-arg BASE_DIGEST=@sha256:{'1' * 64}" in docker
    assert "--platform linux/amd64" in docker


def test_what_is_missing_is_named_and_nothing_done(aws: Aws, tools: Path) -> None:
    done = aws(
        QUICK, "--check", PATH=f"{tools}:/usr/bin:/bin", AWS_REGION="", AWS_DEFAULT_REGION=""
    )
    assert done.returncode == 2
    assert "missing  docker" in done.stdout
    assert "missing  region" in done.stdout


def test_deploying_again_keeps_what_was_set(aws: Aws) -> None:
    deploy(aws, "again", MEMORY_SIZE="1024", ALARM_EMAIL="ops@example.org")
    before = parameters(aws, "again")
    assert (before["MemorySize"], before["AlarmEmail"]) == ("1024", "ops@example.org")
    deploy(aws, "again", TIMEOUT="30")
    after = parameters(aws, "again")
    assert (after["MemorySize"], after["Timeout"]) == ("1024", "30")
    assert before["ImageUri"] != after["ImageUri"]


def test_without_a_verb_and_by_update_it_deploys_and_says_what_changes(aws: Aws) -> None:
    name = {"LAMBDA_FUNCTION_NAME": "bare"}
    first = aws(DEPLOY, **name, MEMORY_SIZE="1024")
    assert first.returncode == 0, first.stderr
    assert "A new stack, bare" in first.stderr
    assert parameters(aws, "bare")["MemorySize"] == "1024"
    again = aws(DEPLOY, "update", **name, TIMEOUT="30", ERRORS_MORE_THAN="0")
    assert again.returncode == 0, again.stderr
    shown = [" ".join(line.split()) for line in again.stderr.splitlines()]
    assert "TIMEOUT 60 -> 30" in shown
    assert "ERRORS_MORE_THAN 5 -> 0" in shown
    assert "MEMORY_SIZE 1024" in shown, "what stays is shown too"
    assert parameters(aws, "bare")["ErrorsMoreThan"] == "0"


def test_the_model_is_remembered_and_another_one_starts_anew(aws: Aws) -> None:
    name = {"LAMBDA_FUNCTION_NAME": "model"}

    def built(**settings: str) -> str:
        (aws.folder / "docker.log").write_text("")
        done = aws(DEPLOY, "deploy", **name, **settings)
        assert done.returncode == 0, done.stderr
        said = (aws.folder / "docker.log").read_text()
        return next(line for line in said.splitlines() if "buildx build" in line)

    given = {"MODEL_NAME": "team/own", "MODEL_REVISION": "abc", "BUILD_OPTIONS": "--labels a,b"}
    for settings in (given, {"MEMORY_SIZE": "1024"}, {"MODEL_NAME": "team/own"}):
        line = built(**settings)
        assert "MODEL_NAME=team/own" in line
        assert "MODEL_REVISION=abc" in line
        assert "BUILD_OPTIONS=--labels a,b" in line
    other = built(MODEL_NAME="team/other")
    assert "MODEL_NAME=team/other" in other
    assert "MODEL_REVISION" not in other, "a revision is one model's"
    assert "BUILD_OPTIONS" not in other
    assert parameters(aws, "model")["ModelRevision"] == ""


def test_cleanup_knows_the_stack_of_another_deployment(aws: Aws) -> None:
    """As document 001 deploys it: ummatics-sentiment-stack, with its own image repository."""
    ecr = aws.client("ecr")
    ecr.create_repository(repositoryName="ummatics-sentiment")
    account = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}
    function = {
        "FunctionName": "ummatics-sentiment-analysis",
        "PackageType": "Image",
        "Code": {"ImageUri": f"{account}/ummatics-sentiment:latest"},
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
    }
    template = {
        "Resources": {
            "Role": role,
            "SentimentFunction": {"Type": "AWS::Lambda::Function", "Properties": function},
        }
    }
    aws.client("cloudformation").create_stack(
        StackName="ummatics-sentiment-stack", TemplateBody=json.dumps(template)
    )
    functions = aws.client("lambda")  # CloudFormation does this; moto's leaves it
    made = functions.get_function(FunctionName="ummatics-sentiment-analysis")["Configuration"]
    functions.tag_resource(
        Resource=made["FunctionArn"],
        Tags={"aws:cloudformation:stack-name": "ummatics-sentiment-stack"},
    )
    innocent = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}})
    aws.client("cloudformation").create_stack(StackName="web-stack", TemplateBody=innocent)
    aws(DEPLOY, "cleanup", "--yes", LAMBDA_FUNCTION_NAME="web")
    stacks = aws.client("cloudformation").describe_stacks()["Stacks"]
    assert "web-stack" in {s["StackName"] for s in stacks}, "a like name is no proof"
    name = {"LAMBDA_FUNCTION_NAME": "ummatics-sentiment-analysis"}
    asked = aws(DEPLOY, "cleanup", **name)
    assert asked.returncode == 2
    assert "The stack ummatics-sentiment-stack made the function" in asked.stderr
    done = aws(DEPLOY, "cleanup", "--yes", **name)
    assert done.returncode == 0, done.stderr
    assert "The stack ummatics-sentiment-stack is gone" in done.stderr
    repositories = aws.client("ecr").describe_repositories()["repositories"]
    assert "ummatics-sentiment" not in {r["repositoryName"] for r in repositories}


def test_what_moto_knows_of_the_template_is_there(deployed: Aws) -> None:
    body = deployed.client("cloudwatch").get_dashboard(DashboardName=NAME)["DashboardBody"]
    titles = [widget["properties"]["title"] for widget in json.loads(body)["widgets"]]
    assert "Invocations and errors" in titles
    assert "Concurrency" in titles
    queues = deployed.client("sqs").list_queues(QueueNamePrefix=NAME)["QueueUrls"]
    assert {url.rsplit("/", 1)[1] for url in queues} == {f"{NAME}-on-success", f"{NAME}-on-failure"}
    (group,) = deployed.client("logs").describe_log_groups(
        logGroupNamePrefix=f"/aws/lambda/{NAME}"
    )["logGroups"]
    assert group["retentionInDays"] == 14
    (repository,) = deployed.client("ecr").describe_repositories(repositoryNames=[NAME])[
        "repositories"
    ]
    assert repository["imageTagMutability"] == "IMMUTABLE"


def test_rollback_goes_to_the_image_before(aws: Aws) -> None:
    name = {"LAMBDA_FUNCTION_NAME": "back"}
    deploy(aws, "back")
    first = parameters(aws, "back")["ImageUri"]
    deploy(aws, "back")
    assert parameters(aws, "back")["ImageUri"] != first
    done = aws(DEPLOY, "rollback", **name)
    assert done.returncode == 0, done.stderr
    assert parameters(aws, "back")["ImageUri"] == first
    deploy(aws, "back")
    third = parameters(aws, "back")["ImageUri"]
    assert third != first
    assert aws(DEPLOY, "rollback", **name).returncode == 0
    assert parameters(aws, "back")["ImageUri"] == first, (
        "not to the second: that was gone back from"
    )


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
    now = int(time.time() * 1000) - 60_000
    for line in ("scored", "ERROR something\nof two lines"):
        logs.put_log_events(
            logGroupName=group, logStreamName="s", logEvents=[{"timestamp": now, "message": line}]
        )
    said = deployed(DEPLOY, "logs", "--since", "10m").stdout
    assert said.splitlines() == ["scored", "ERROR something", "of two lines"]
    assert deployed(DEPLOY, "logs", "--since", "soon").returncode == 2
    following = ["timeout", "12", DEPLOY, "logs", "--follow"]
    assert deployed(*following).stdout == said, "each event once, however often it is read"


def test_logs_of_errors_ask_for_what_lambda_writes(deployed: Aws) -> None:
    """moto has no filter patterns: what is asked for is looked at on its way."""
    done = deployed("bash", "-x", DEPLOY, "logs", "--errors")
    (asked,) = [line for line in done.stderr.splitlines() if "+ aws logs" in line]
    for what in ("ERROR", "Task timed out", "Runtime exited", "Traceback"):
        assert f'?"{what}"' in asked or f"?{what}" in asked


def test_metrics_and_backup(deployed: Aws) -> None:
    done = deployed(DEPLOY, "metrics", "--days", "2")
    assert done.returncode == 0, done.stderr
    assert "Throttles" in done.stderr
    assert deployed(DEPLOY, "backup", "saved").returncode == 0
    saved = {file.name for file in (deployed.folder / "saved").iterdir()}
    assert saved == {"template.json", "stack.json", "function.json", "images.json"}
    function = json.loads((deployed.folder / "saved" / "function.json").read_text())
    assert function["MemorySize"] == 1024


def test_cleanup_asks_and_partial_keeps_the_images(aws: Aws) -> None:
    name = {"LAMBDA_FUNCTION_NAME": "gone"}
    deploy(aws, "gone")
    iam = aws.client("iam")
    (policy,) = [
        p for p in iam.list_policies(Scope="Local")["Policies"] if "gone" in p["PolicyName"]
    ]
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="worker", PolicyArn=policy["Arn"])
    refused = aws(DEPLOY, "cleanup", **name)
    assert refused.returncode == 2, "nobody is there to be asked"
    assert "--yes" in refused.stderr
    partly = aws(DEPLOY, "cleanup", "--partial", "--yes", **name)
    assert partly.returncode == 0, partly.stderr
    assert iam.list_attached_role_policies(RoleName="worker")["AttachedPolicies"] == []
    assert "off the role worker" in partly.stderr
    functions = aws.client("lambda").list_functions()["Functions"]
    assert "gone" not in {function["FunctionName"] for function in functions}
    assert aws.client("ecr").describe_images(repositoryName="gone")["imageDetails"]
    assert aws(DEPLOY, "cleanup", "--yes", **name).returncode == 0
    repositories = aws.client("ecr").describe_repositories()["repositories"]
    assert "gone" not in {repository["repositoryName"] for repository in repositories}
    assert aws(DEPLOY, "cleanup", "--yes", **name).returncode == 0, "safe to repeat"


def test_the_base_image_is_looked_up_once_and_kept(aws: Aws, tmp_path: Path) -> None:
    """The digest is the stand-in's; looking up, keeping and passing it on are the script's."""
    copy = tmp_path / "lambda"
    shutil.copytree(LAMBDA, copy, ignore=shutil.ignore_patterns("__pycache__", "*.digest"))
    for _ in range(2):
        done = aws(copy / "deploy.sh", "deploy", LAMBDA_FUNCTION_NAME="pinned", BASE_DIGEST="")
        assert done.returncode == 0, done.stderr
    looked_up = f"sha256:{'1' * 64}"
    kept = (copy / "base-image.digest").read_text()
    assert kept == f"amazon/aws-lambda-python:3.13@{looked_up}\n"
    assert "is pinned in" not in done.stderr, "the second time it was there"
    (aws.folder / "docker.log").write_text("")
    other = f"amazon/aws-lambda-python:3.13@sha256:{'2' * 64}\n"
    (copy / "base-image.digest").write_text(other)
    deployed = aws(copy / "deploy.sh", "deploy", LAMBDA_FUNCTION_NAME="pinned", BASE_DIGEST="")
    assert deployed.returncode == 0, deployed.stderr
    said = (aws.folder / "docker.log").read_text()
    assert f"--build-arg BASE_DIGEST=@sha256:{'2' * 64}" in said
    assert "imagetools" not in said


def test_on_this_machine_without_docker(aws: Aws, rie: Path) -> None:
    """The local Lambda and AWS's own emulator, called by the script, answer alike."""
    done = aws(LAMBDA / "test-local.sh", RIE=str(rie))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same answers" in done.stdout
    assert '"count": 2' in done.stdout or '"count":2' in done.stdout


def test_no_code_of_a_model_is_trusted(aws: Aws) -> None:
    done = aws(DEPLOY, "deploy", TRUST_REMOTE_CODE="true")
    assert done.returncode == 2
    assert "TRUST_REMOTE_CODE" in done.stderr


def test_the_transcription_function_is_deployed_on_request(aws: Aws) -> None:
    asked = {
        "FUNCTION": "transcription",
        "TEMPLATE": str(aws.folder / "transcription.json"),
        "LAMBDA_FUNCTION_NAME": NAME,  # of the other one: it is left alone
    }
    done = aws(DEPLOY, "deploy", **asked, MODEL_NAME="base", AUDIO_BUCKET="calls")
    assert done.returncode == 0, done.stderr
    configuration = aws.client("lambda").get_function(FunctionName="transcription")["Configuration"]
    assert (configuration["MemorySize"], configuration["Timeout"]) == (10_240, 900)
    set_ = parameters(aws, "transcription")
    assert (set_["ModelName"], set_["AudioBucket"]) == ("base", "calls")
    docker = (aws.folder / "docker.log").read_text()
    assert f"--file {LAMBDA}/transcription/Dockerfile" in docker
    again = aws(DEPLOY, "deploy", **asked)
    assert again.returncode == 0, again.stderr
    assert parameters(aws, "transcription")["AudioBucket"] == "calls"


def test_a_setting_of_the_other_function_is_refused(aws: Aws) -> None:
    for asked in ({"FUNCTION": "transcription", "LONG_TEXTS": "truncate"}, {"AUDIO_BUCKET": "a"}):
        done = aws(DEPLOY, "deploy", **asked)
        assert done.returncode == 2
        assert "is no setting of" in done.stderr
    assert aws(DEPLOY, "deploy", FUNCTION="transcripts").returncode == 2
