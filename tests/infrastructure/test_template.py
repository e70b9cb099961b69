"""The template says what it should: every policy names what it may touch, every alarm its bound."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.conftest import LAMBDA, ROOT

Template = dict[str, Any]


def of_type(template: Template, type_: str) -> dict[str, Any]:
    found = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == type_
    }
    assert found, type_
    return found


@pytest.mark.parametrize(
    ("program", "files"),
    [
        ("cfn-lint", ["lambda/template.yaml", "lambda/repository.yaml"]),
        ("hadolint", ["lambda/Dockerfile", "deploy/Dockerfile"]),
        ("shellcheck", ["lambda/deploy.sh", "lambda/quick-deploy.sh", "lambda/test-local.sh"]),
    ],
)
def test_the_files_are_clean(tools: Path, program: str, files: list[str]) -> None:
    done = subprocess.run(
        [tools / program, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def statements(template: Template) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        for document in documents:
            found += [(name, statement) for statement in document["Statement"]]
    return found


def test_what_each_policy_allows(translated: Template) -> None:
    """Anything more than this is a decision, and changes this list."""
    allowed = [
        (name, action, statement["Resource"])
        for name, statement in statements(translated)
        for action in _listed(statement["Action"])
    ]
    log = {"Fn::GetAtt": ["LogGroup", "Arn"]}
    queues = [{"Fn::GetAtt": ["SuccessQueue", "Arn"]}, {"Fn::GetAtt": ["FailureQueue", "Arn"]}]
    assert allowed == [
        ("Role", "logs:CreateLogStream", log),
        ("Role", "logs:PutLogEvents", log),
        ("Role", "sqs:SendMessage", queues),
        ("Role", "xray:PutTraceSegments", "*"),
        ("Role", "xray:PutTelemetryRecords", "*"),
        ("InvokePolicy", "lambda:InvokeFunction", {"Ref": "FunctionAliaslive"}),
    ]


def test_x_ray_alone_names_nothing(translated: Template) -> None:
    """Its actions know no resources:
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html"""
    unnamed = {
        action
        for _, statement in statements(translated)
        if statement["Resource"] == "*"
        for action in _listed(statement["Action"])
    }
    assert unnamed == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_nobody_calls_the_api_unnamed(translated: Template) -> None:
    for route in of_type(translated, "AWS::ApiGatewayV2::Route").values():
        assert route["AuthorizationType"] == "AWS_IAM"
    (rest,) = of_type(translated, "AWS::ApiGateway::RestApi").values()
    for methods in rest["Body"]["paths"].values():
        for method in methods.values():
            assert method["security"] == [{"key": []}]


def test_the_alarms_and_their_bounds(translated: Template) -> None:
    alarms = of_type(translated, "AWS::CloudWatch::Alarm")
    assert {
        name: (alarm.get("MetricName"), alarm["Threshold"], alarm.get("Period"))
        for name, alarm in alarms.items()
    } == {
        "ErrorsAlarm": ("Errors", 5, 600),
        "DurationAlarm": (None, 83, None),
        "ThrottlesAlarm": ("Throttles", 0, 300),
        "DeliveryAlarm": ("DestinationDeliveryFailures", 0, 300),
        "FailureQueueAlarm": ("ApproximateNumberOfMessagesVisible", 0, 300),
    }
    assert all(alarm["TreatMissingData"] == "notBreaching" for alarm in alarms.values())
    (group,) = of_type(translated, "AWS::CodeDeploy::DeploymentGroup").values()
    guarding = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    assert guarding == {"ErrorsAlarm", "DurationAlarm"}
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_settings_have_the_names_of_the_templates_parameters() -> None:
    script = (LAMBDA / "deploy.sh").read_text("utf-8")
    named = script.split("\nparameters=(")[1].split("\n)")[0]
    named_there = {pair.split(":")[1] for pair in named.split()}
    lines = (LAMBDA / "template.yaml").read_text("utf-8").split("\nParameters:\n")[1]
    known = {
        line.strip().rstrip(":")
        for line in lines.split("\nConditions:")[0].splitlines()
        if line.startswith("  ") and not line.startswith("   ")
    }
    assert named_there == known - {"FunctionName", "ImageUri"}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_a_changed_rest_api_is_deployed_anew(translated: Template) -> None:
    """A deployment is a snapshot: only one of another name takes up what its API became."""
    body = of_type(translated, "AWS::ApiGateway::RestApi")["RestApi"]["Body"]
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8]
    (name,) = of_type(translated, "AWS::ApiGateway::Deployment")
    assert name == f"RestDeployment{digest}", "rename it in the template, both times"
