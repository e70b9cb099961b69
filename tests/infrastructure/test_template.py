"""The template says what it should: every policy names what it may touch, every alarm its bound."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.conftest import LAMBDA, ROOT

Template = dict[str, Any]

TRANSCRIPTION = "lambda/transcription/template.yaml"


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
        ("cfn-lint", ["lambda/template.yaml", "lambda/repository.yaml", TRANSCRIPTION]),
        ("hadolint", ["lambda/Dockerfile", "lambda/transcription/Dockerfile", "deploy/Dockerfile"]),
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
    """But for GET /health where that was asked for, and for what a browser asks before a call."""
    routes = of_type(translated, "AWS::ApiGatewayV2::Route")
    assert {name: route["AuthorizationType"] for name, route in routes.items()} == {
        "HttpHealth": {"Fn::If": ["HealthIsOpen", "NONE", "AWS_IAM"]},
        "HttpSentiment": "AWS_IAM",
    }
    (rest,) = of_type(translated, "AWS::ApiGateway::RestApi").values()
    paths = rest["Body"]["paths"]
    assert paths["/sentiment"]["post"]["security"] == [{"key": []}]
    assert paths["/health"]["get"]["security"] == {"Fn::If": ["HealthIsOpen", [], [{"key": []}]]}
    assert translated["Parameters"]["OpenHealth"]["Default"] == "no"
    for methods in paths.values():
        condition, preflight, otherwise = methods["options"]["Fn::If"]
        assert (condition, otherwise) == ("HasOrigin", {"Ref": "AWS::NoValue"})
        assert preflight["x-amazon-apigateway-integration"]["type"] == "mock", "it calls nothing"
        said = preflight["x-amazon-apigateway-integration"]["responses"]["default"]
        headers = said["responseParameters"]
        origin = headers["method.response.header.Access-Control-Allow-Origin"]
        assert origin == {"Fn::Sub": "'${AllowedOrigin}'"}
        assert "x-api-key" in headers["method.response.header.Access-Control-Allow-Headers"]


def test_the_alarms_and_their_bounds(translated: Template) -> None:
    alarms = of_type(translated, "AWS::CloudWatch::Alarm")
    told = {
        name: tuple(
            _value(translated, alarm.get(key))
            for key in ("MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold")
        )
        for name, alarm in alarms.items()
    }
    assert told == {
        "ErrorsAlarm": ("Errors", "Sum", 600, 1, 5),
        "DurationAlarm": (None, None, None, 1, 83),
        "ThrottlesAlarm": ("Throttles", "Sum", 300, 3, 0),
        "DeliveryAlarm": ("DestinationDeliveryFailures", "Sum", 300, 1, 0),
        "FailureQueueAlarm": ("ApproximateNumberOfMessagesVisible", "Maximum", 300, 1, 0),
    }
    for alarm in alarms.values():
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    share, duration = alarms["DurationAlarm"]["Metrics"]
    assert share["Expression"] == {"Fn::Sub": "100 * duration / (${Timeout} * 1000)"}
    statistic = duration["MetricStat"]
    assert statistic["Metric"]["MetricName"] == "Duration"
    found = _value(translated, statistic["Stat"]), _value(translated, statistic["Period"])
    assert found == ("Maximum", 300)
    (group,) = of_type(translated, "AWS::CodeDeploy::DeploymentGroup").values()
    guarding = {alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"]["Alarms"]}
    assert guarding == {"ErrorsAlarm", "DurationAlarm"}
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]


def test_each_alarm_of_the_documents_is_a_setting(translated: Template) -> None:
    """Any error (document 003): ErrorsMoreThan 0; over 5 in 300 s (004): ErrorsWithin 300; the
    average duration (002): DurationStatistic; throttles at once (003): ThrottledPeriods 1."""
    known = translated["Parameters"]
    assert known["ErrorsMoreThan"]["MinValue"] == 0
    assert 300 in known["ErrorsWithin"]["AllowedValues"]
    assert "Average" in known["DurationStatistic"]["AllowedValues"]
    assert known["ThrottledPeriods"]["MinValue"] == 1


def test_the_schedule_that_keeps_it_warm_is_asked_for(translated: Template) -> None:
    rule = translated["Resources"]["WarmRule"]
    assert rule["Condition"] == "StaysWarm"
    assert translated["Parameters"]["WarmEvery"]["Default"] == "off"
    (target,) = rule["Properties"]["Targets"]
    assert json.loads(target["Input"]) == {"warmup": True}
    assert target["Arn"] == {"Ref": "FunctionAliaslive"}
    pattern = re.compile(translated["Parameters"]["WarmEvery"]["AllowedPattern"])
    assert pattern.fullmatch("rate(5 minutes)")
    assert not pattern.fullmatch("every minute")


@pytest.mark.parametrize("tail", ["", "Init Duration: 812.11 ms\t"])
def test_the_memory_used_is_read_off_lambdas_report_line(translated: Template, tail: str) -> None:
    """By position, as CloudWatch's patterns for fields divided by spaces do: names before `=` are
    free, values after it must be met."""
    (found,) = of_type(translated, "AWS::Logs::MetricFilter").values()
    pattern = found["FilterPattern"].strip()
    assert (pattern[0], pattern[-1]) == ("[", "]")
    fields = [field.strip() for field in pattern[1:-1].split(",")]
    line = (
        "REPORT RequestId: 8f5c\tDuration: 12.30 ms\tBilled Duration: 13 ms\tMemory Size: 1769 MB"
        f"\tMax Memory Used: 161 MB\t{tail}"
    ).split()
    assert fields[-1] == "..."
    read = dict(zip((field.split("=")[0] for field in fields[:-1]), line, strict=False))
    for field in fields[:-1]:
        name, wanted, value = field.partition("=")
        assert not wanted or read[name] == json.loads(value)
    (made,) = found["MetricTransformations"]
    assert made["MetricValue"] == "$used"
    assert read["used"] == "161"
    panel = translated["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert made["MetricName"]["Fn::Sub"] in panel


def _value(template: Template, value: Any) -> Any:
    """A parameter's default for a reference to it."""
    if isinstance(value, dict) and "Ref" in value:
        return template["Parameters"][value["Ref"]]["Default"]
    return value


CHECKED = (
    "lambda/template.yaml",
    "lambda/repository.yaml",
    TRANSCRIPTION,
    "lambda/Dockerfile",
    "lambda/transcription/Dockerfile",
    "deploy/Dockerfile",
)


def test_checkov_finds_nothing(checkov: Path) -> None:
    done = subprocess.run(
        [checkov, *(word for file in CHECKED for word in ("--file", file)),
         "--compact", "--quiet", "--skip-download"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = [int(n) for n in re.findall(r"Passed checks: (\d+), Failed checks: 0", done.stdout)]
    assert len(passed) == 2, "both frameworks found files"
    assert min(passed) > 20


def test_settings_have_the_names_of_the_templates_parameters() -> None:
    script = (LAMBDA / "deploy.sh").read_text("utf-8")
    named = script.split("\nparameters=(")[1].split("\n)")[0]
    named_there = {pair.split(":")[1] for pair in named.split()}
    known: set[str] = set()
    for template in (LAMBDA / "template.yaml", ROOT / TRANSCRIPTION):
        lines = template.read_text("utf-8").split("\nParameters:\n")[1]
        known |= {
            line.strip().rstrip(":")
            for line in lines.split("\nConditions:")[0].splitlines()
            if line.startswith("  ") and not line.startswith("   ")
        }
    assert named_there == known - {"FunctionName", "ImageUri"}


def test_the_transcription_function_may_read_recordings_and_nothing_else(
    transcription: Template,
) -> None:
    found = [statement for _, statement in statements(transcription)]
    found = [each["Fn::If"][1] if "Fn::If" in each else each for each in found]
    allowed = {action for statement in found for action in _listed(statement["Action"])}
    (reads,) = [each for each in found if each["Action"] == "s3:GetObject"]
    assert "${AudioBucket}/${AudioPrefix}*" in reads["Resource"]["Fn::Sub"]
    assert allowed == {
        "logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments",
        "xray:PutTelemetryRecords", "s3:GetObject", "lambda:InvokeFunction",
    }  # fmt: skip


def test_the_transcription_functions_alarms_match_the_readme(transcription: Template) -> None:
    """More than 5 errors in 10 minutes; on average longer than 5 minutes; ten at once."""
    default = {name: p.get("Default") for name, p in transcription["Parameters"].items()}
    assert (default["ErrorsMoreThan"], default["ErrorsWithin"]) == (5, 600)
    assert default["DurationStatistic"] == "Average"
    assert round(default["Timeout"] * default["DurationPercent"] / 100, -1) == 300
    assert (default["MemorySize"], default["Timeout"], default["ReservedConcurrency"]) == (
        10_240, 900, 10,
    )  # fmt: skip


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_a_changed_rest_api_is_deployed_anew(translated: Template) -> None:
    """A deployment is a snapshot: only one of another name takes up what its API became."""
    body = of_type(translated, "AWS::ApiGateway::RestApi")["RestApi"]["Body"]
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8]
    (name,) = of_type(translated, "AWS::ApiGateway::Deployment")
    assert name == f"RestDeployment{digest}", "rename it in the template, both times"
