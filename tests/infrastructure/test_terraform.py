"""Terraform's files against the SAM template, the policies of deploy/iam and the worker's settings:
what is deployed by one way is what is deployed by the other."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infrastructure import terraform
from tests.infrastructure.conftest import ROOT
from tests.infrastructure.terraform import FOLDER, Block, Module
from worker import loading

HERE = {
    "Function": "aws_lambda_function.function",
    "FunctionAliaslive": "aws_lambda_alias.live",
    "FunctionEventInvokeConfig": "aws_lambda_function_event_invoke_config.live",
    "Role": "aws_iam_role.function",
    "LogGroup": "aws_cloudwatch_log_group.log",
    "InvokePolicy": "aws_iam_policy.invoke",
    "WarmRule": "aws_cloudwatch_event_rule.warm",
    "WarmPermission": "aws_lambda_permission.warm",
    "SuccessQueue": "aws_sqs_queue.success",
    "FailureQueue": "aws_sqs_queue.failure",
    "ErrorsAlarm": "aws_cloudwatch_metric_alarm.errors",
    "DurationAlarm": "aws_cloudwatch_metric_alarm.duration",
    "ThrottlesAlarm": "aws_cloudwatch_metric_alarm.throttles",
    "DeliveryAlarm": "aws_cloudwatch_metric_alarm.delivery",
    "FailureQueueAlarm": "aws_cloudwatch_metric_alarm.on_failure",
}
"""The template's resources, and what they are here."""

NOT_HERE = (
    "ApiGateway", "ApiGatewayV2", "Budgets", "CodeDeploy", "SNS", "CloudWatch::Dashboard",
    "Logs::MetricFilter",
)  # fmt: skip
"""As the README says. An SNS topic is the caller's: `alarm_actions`."""

BESIDE_TEMPLATE = {
    "aws_ecr_repository.images", "aws_ecr_lifecycle_policy.images",  # of lambda/repository.yaml
    "aws_ecr_repository_policy.images",
    "aws_iam_role_policy.function", "aws_cloudwatch_event_target.warm",  # in their owners, there
}  # fmt: skip


@pytest.fixture(scope="session")
def function(tools: Path) -> Module:
    assert (tools / "python").exists()
    return Module(FOLDER / "function")


@pytest.fixture(scope="session")
def worker(tools: Path) -> Module:
    assert (tools / "python").exists()
    return Module(FOLDER / "worker")


@pytest.fixture(scope="session")
def there(translated: dict[str, Any]) -> dict[str, Block]:
    """The template's resources, with its parameters' defaults put in."""
    defaults = {name: said.get("Default") for name, said in translated["Parameters"].items()}
    defaults |= {"FunctionName": "NAME"}

    def filled(value: Any) -> Any:
        match value:
            case {"Ref": name} if name in defaults:
                return defaults[name]
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{(\w+)\}", lambda m: str(defaults.get(m[1], m[0])), text)
            case dict():
                return {name: filled(each) for name, each in value.items()}
            case list():
                return [filled(each) for each in value]
        return value

    found: dict[str, Block] = filled(translated["Resources"])
    return found


def here(module: Module, address: str) -> Block:
    """A resource, with the variables' defaults put in."""
    defaults = {name: said.get("default") for name, said in module.blocks("variable").items()}

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            if plain := re.fullmatch(r"\$\{var\.(\w+)\}", value):
                return defaults[plain[1]]
            value = value.replace("${each.key}", "NAME")
            return re.sub(r"\$\{var\.(\w+)\}", lambda m: str(defaults[m[1]]), value)
        return value

    return {name: filled(each) for name, each in module.blocks("resource")[address].items()}


def test_every_resource_of_the_template_is_here_or_named_as_missing(
    there: dict[str, Block], function: Module
) -> None:
    missing = {
        name: resource["Type"].removeprefix("AWS::")
        for name, resource in there.items()
        if name not in HERE
    }
    extra = {  # what SAM makes of one resource of the template
        name for name, kind in missing.items() if kind in ("Lambda::Version", "IAM::Role")
    }
    of_the_api = {"HttpPermission", "RestPermission", "AccessLog"}
    for name in missing.keys() - extra - of_the_api:
        assert missing[name].startswith(NOT_HERE), f"{name} is neither here nor on the list"
    readme = (FOLDER / "README.md").read_text("utf-8")
    for word in ("API Gateway", "dashboard", "budget", "CodeDeploy", "metric of memory"):
        assert word in readme
    assert set(function.blocks("resource")) == set(HERE.values()) | BESIDE_TEMPLATE


@pytest.mark.parametrize("name", [name for name in HERE if name.endswith("Alarm")])
def test_alarms_are_the_templates(name: str, there: dict[str, Block], function: Module) -> None:
    ours, said = here(function, HERE[name]), there[name]["Properties"]
    assert ours["alarm_name"] == said["AlarmName"]
    assert ours["alarm_description"] == said["AlarmDescription"]
    assert ours["comparison_operator"] == said["ComparisonOperator"]
    assert ours["treat_missing_data"] == said["TreatMissingData"]
    assert ours["evaluation_periods"] == said["EvaluationPeriods"]
    if name == "DurationAlarm":  # there as an expression: a share of the timeout
        duration = next(each for each in said["Metrics"] if each["Id"] == "duration")["MetricStat"]
        assert ours["statistic"] == duration["Stat"]
        assert ours["period"] == duration["Period"]
        assert ours["metric_name"] == duration["Metric"]["MetricName"]
        assert ours["threshold"] == "${each.value.timeout * 10 * var.duration_percent}"
        percent = function.blocks("variable")["duration_percent"]["default"]
        assert said["Threshold"] == percent
        return
    assert ours["statistic"] == said["Statistic"]
    assert ours["period"] == said["Period"]
    assert ours["threshold"] == said["Threshold"]
    assert (ours["namespace"], ours["metric_name"]) == (said["Namespace"], said["MetricName"])


def test_the_function_is_the_templates(
    there: dict[str, Block], function: Module, translated: dict[str, Any]
) -> None:
    ours, said = here(function, HERE["Function"]), there["Function"]["Properties"]
    assert ours["package_type"] == said["PackageType"] == "Image"
    assert ours["description"] == said["Description"]
    assert ours["tracing_config"] == [{"mode": said["TracingConfig"]["Mode"]}]
    assert ours["logging_config"][0]["log_format"] == said["LoggingConfig"]["LogFormat"]
    assert ours["lifecycle"] == [{"ignore_changes": ["image_uri"]}]
    kind = function.blocks("variable")["functions"]["type"]
    defaults = translated["Parameters"]
    for name, parameter in (("timeout", "Timeout"), ("memory_size", "MemorySize")):
        assert f"optional(number, {defaults[parameter]['Default']})" in _of(kind, name)
    assert "optional(number, -1)" in _of(kind, "reserved_concurrency")
    assert defaults["Architecture"]["Default"] in _of(kind, "architecture")
    set_there = set(said["Environment"]["Variables"])
    assert {"POWERTOOLS_LOG_LEVEL", "POWERTOOLS_SERVICE_NAME"} <= set_there
    assert set_there - {"POWERTOOLS_LOG_LEVEL", "POWERTOOLS_SERVICE_NAME"} == {
        "LONG_TEXTS",
        "ALLOWED_ORIGIN",
    }  # fmt: skip  both have defaults in the function; `variables` sets them


def _of(kind: str, name: str) -> str:
    found = re.search(rf"{name}[\"' :=]+[^,]*?(optional\([^)]*\))", kind)
    assert found, (name, kind)
    return found[1].replace('"', "")


def test_the_alias_is_the_workers_and_is_moved_by_ci(function: Module) -> None:
    alias = here(function, HERE["FunctionAliaslive"])
    assert alias["name"] == "live"
    assert "function_version" in alias["lifecycle"][0]["ignore_changes"]


def test_asynchronous_calls_end_as_the_template_says(
    there: dict[str, Block], function: Module
) -> None:
    ours = here(function, HERE["FunctionEventInvokeConfig"])
    said = there["FunctionEventInvokeConfig"]["Properties"]
    assert ours["maximum_retry_attempts"] == said["MaximumRetryAttempts"]
    assert ours["maximum_event_age_in_seconds"] == said["MaximumEventAgeInSeconds"]
    for queue in ("SuccessQueue", "FailureQueue"):
        mine, its = here(function, HERE[queue]), there[queue]["Properties"]
        assert mine["name"] == its["QueueName"]
        assert mine["message_retention_seconds"] == its["MessageRetentionPeriod"]
        assert mine["sqs_managed_sse_enabled"] is its["SqsManagedSseEnabled"] is True


def test_logs_are_where_the_template_has_them(there: dict[str, Block], function: Module) -> None:
    ours, said = here(function, HERE["LogGroup"]), there["LogGroup"]["Properties"]
    assert ours["name"] == said["LogGroupName"]
    assert ours["retention_in_days"] == said["RetentionInDays"]


def _actions(statements: list[Block]) -> dict[str, set[str]]:
    """By their ids; as a policy of IAM or a document of Terraform says them."""
    found: dict[str, set[str]] = {}
    for each in statements:
        said: Any = each.get("Action", each.get("actions"))
        found[str(each.get("Sid", each.get("sid", "")))] = (
            {said} if isinstance(said, str) else set(said)
        )
    return found


def test_the_functions_role_may_do_what_the_template_allows(
    there: dict[str, Block], transcription: dict[str, Any], function: Module
) -> None:
    (policy,) = there["Role"]["Properties"]["Policies"]
    ours = _actions(function.policy("function"))
    said = _actions(policy["PolicyDocument"]["Statement"])
    of_audio = {"ReadsRecordings"}
    assert {k: v for k, v in ours.items() if k in said} == said
    assert ours.keys() - said.keys() == of_audio | {"HasInterfacesInTheVpc"}
    policies = transcription["Resources"]["Role"]["Properties"]["Policies"]
    its = json.dumps(policies)
    for name in of_audio:
        for action in ours[name]:
            assert f'"{action}"' in its
    invoke = there["InvokePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert _actions(function.policy("invoke")) == _actions(invoke)


def test_images_are_kept_as_in_the_repositorys_template(function: Module) -> None:
    text = (ROOT / "lambda" / "repository.yaml").read_text("utf-8")
    template = yaml.load(text, Loader=_Tagged)
    said = template["Resources"]["Repository"]["Properties"]
    ours = here(function, "aws_ecr_repository.images")
    assert ours["name"] == "NAME"
    assert ours["image_tag_mutability"] == said["ImageTagMutability"]
    assert ours["image_scanning_configuration"] == [{"scan_on_push": True}]
    kept = json.loads(said["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    written = function.blocks("resource")["aws_ecr_lifecycle_policy.images"]["policy"]
    assert _rules(written) == kept
    (allowed,) = said["RepositoryPolicyText"]["Statement"]
    assert _actions(function.policy("lambda_pulls")) == _actions([allowed])


def _rules(written: str) -> Any:
    """The argument of `jsonencode`, as JSON."""
    found = written.removeprefix("${jsonencode(").removesuffix(")}")
    found = re.sub(r"(\w+) = ", r'"\1": ', found)
    return json.loads(re.sub(r",\s*([\]}])", r"\1", found))["rules"]


class _Tagged(yaml.SafeLoader):  # type: ignore[misc]
    """CloudFormation's tags as they are written."""


_Tagged.add_multi_constructor("!", lambda loader, suffix, node: getattr(node, "value", None))


# -- the worker --------------------------------------------------------------------------------


def test_the_workers_role_may_do_what_the_policies_say(worker: Module) -> None:
    said: dict[str, set[str]] = {}
    for name in ("invoke", "queue", "audio"):
        policy = json.loads((ROOT / f"deploy/iam/{name}-policy.json").read_text("utf-8"))
        said |= _actions(policy["Statement"])
    ours = _actions(worker.policy("task"))
    assert ours.keys() == {
        "InvokeTheSentimentFunction", "ReadTheQueue", "ReadTheObjects", "TellWhichObjectsAreGone",
    }  # fmt: skip
    assert {name: said[name] for name in ours} == ours
    assert set().union(*said.values()) == set().union(*ours.values())


def test_no_role_of_the_worker_may_do_anything_to_everything(worker: Module) -> None:
    for name in ("execution", "task", "scheduler"):
        for statement in worker.policy(name):
            assert all("*" not in action for action in statement["actions"])
            if statement["resources"] == ["*"]:
                assert statement["actions"] == ["ecr:GetAuthorizationToken"]


def test_its_variables_are_settings_of_the_worker(worker: Module) -> None:
    text = (FOLDER / "worker" / "main.tf").read_text("utf-8")
    said = text.split("variables = merge(var.settings, {")[1].split("})")[0]
    named = set(re.findall(r"^\s+([A-Z_]+)\s+=", said, re.MULTILINE))
    known = {name for names in loading.ENVIRONMENT.values() for name in names}
    assert named <= known | set(loading.OTHERS)
    assert {"LAMBDA_FUNCTION_NAME", "LAMBDA_TIMEOUT", "SENTIMENT_GRACE"} <= named
    refused = worker.blocks("variable")["settings"]["validation"][0]["condition"]
    assert all(name in refused for name in ("DATABASE_URL", "AWS_SECRET_ACCESS_KEY"))


def test_its_containers_are_restricted_and_start_in_order() -> None:
    text = (FOLDER / "worker" / "main.tf").read_text("utf-8")
    assert 'readonlyRootFilesystem = true, user = "10001"' in text
    assert 'capabilities = { drop = ["ALL"] }' in text
    assert text.count("merge(local.image, {") == text.count("logConfiguration = local.log") == 3
    assert text.count('condition = "SUCCESS"') == 2
    assert "stopTimeout = var.grace_seconds + 10" in text
    dockerfile = (ROOT / "deploy/Dockerfile").read_text("utf-8")
    assert 'VOLUME ["/tmp"]' in dockerfile  # else its user may not write there, on Fargate
    assert "USER 10001:10001" in dockerfile


# -- as a whole --------------------------------------------------------------------------------


def test_the_example_says_what_is_needed_and_nothing_unknown(tools: Path) -> None:
    example = Module(FOLDER / "examples" / "whole")
    for name, module in example.blocks("module").items():
        folder = FOLDER / name.rstrip("s")
        assert (FOLDER / "examples" / "whole" / module["source"]).resolve() == folder
        known = Module(folder).blocks("variable")
        given = module.keys() - {"source"}
        assert given <= known.keys()
        assert {each for each, about in known.items() if "default" not in about} <= given
    said = {"DATABASE_URL": "postgresql://h/d", "LAMBDA_FUNCTION_NAME": "f"}
    loaded = loading.load(FOLDER / "examples/whole/sentiment-worker.toml", said)
    assert [source.kind for source in loaded.settings.source] == ["file", "audio"]


def test_every_variable_is_described_and_used() -> None:
    for name in terraform.MODULES:
        module = Module(FOLDER / name)
        text = "".join(file.read_text("utf-8") for file in (FOLDER / name).glob("*.tf"))
        for variable, said in module.blocks("variable").items():
            assert said["description"]
            uses = len(re.findall(rf"\bvar\.{variable}\b", text))
            assert uses > json.dumps(said).count(f"var.{variable}"), variable


def test_the_readme_says_what_the_files_say(tools: Path) -> None:
    assert (FOLDER / "README.md").read_text("utf-8") == terraform.readme()


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.tf")), ids=str)
def test_format(file: Path) -> None:
    """Two spaces a level, and equal signs in one column: `terraform fmt`'s rules that can be held
    without it. https://developer.hashicorp.com/terraform/language/style"""
    depth, block = 0, []
    for line in [*file.read_text("utf-8").splitlines(), ""]:
        said = line.split(" #")[0] if not line.strip().startswith("#") else ""
        closes = len(re.match(r"[\])}]*", said.strip())[0])  # type: ignore[index]
        if said.strip():
            indent = len(line) - len(line.lstrip())
            assert indent == 2 * (depth - min(closes, 1)), f"{file.name}: {line}"
        assert line == line.rstrip()
        assert "\t" not in line
        opens = sum(said.count(each) for each in "[({") - sum(said.count(each) for each in "])}")
        attribute = re.match(r"( +)([\w\"-]+ *)= ", line)
        if attribute and opens == 0:
            block.append((attribute[1], len(attribute[2])))
        else:
            assert len({width for _, width in block}) <= 1, f"{file.name}: before {line!r}"
            block = []
        depth += 1 if opens > 0 else -1 if opens < 0 else 0
    assert depth == 0


def test_checkov_finds_nothing(checkov: Path) -> None:
    done = subprocess.run(
        [checkov, "--directory", FOLDER, "--framework", "terraform", "--compact", "--quiet",
         "--skip-download"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    (passed,) = re.findall(r"Passed checks: (\d+), Failed checks: 0", done.stdout)
    assert int(passed) > 100
