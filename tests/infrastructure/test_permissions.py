"""What the code calls at AWS is what the policies allow: every call is known, by its name in the
source, and each right that is granted is one that a call needs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from tests.infrastructure.conftest import ROOT

SERVICES = ("lambda", "s3", "ssm", "secretsmanager", "sqs", "sts", "logs", "cloudwatch", "events",
            "sns", "ecs", "ecr")  # fmt: skip

CALLS = {
    "invoke": "lambda:InvokeFunction",
    "get_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "get_parameter": "ssm:GetParameter",
    "get_secret_value": "secretsmanager:GetSecretValue",
    "receive_message": "sqs:ReceiveMessage",
    "delete_message_batch": "sqs:DeleteMessage",
    "change_message_visibility_batch": "sqs:ChangeMessageVisibility",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    "get_caller_identity": None,  # everybody may
    "get_function_configuration": "lambda:GetFunctionConfiguration",
    "list_versions_by_function": "lambda:ListVersionsByFunction",
    "update_function_configuration": "lambda:UpdateFunctionConfiguration",
    "publish_version": "lambda:PublishVersion",
    "delete_function": "lambda:DeleteFunction",
}
"""By the methods' names in boto3, and the right that each needs.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html"""

WAITERS = {"lambda:GetFunction"}
"""`tune` waits for a function's update (`function_updated_v2`)."""

POLICIES = ("invoke", "files", "queue", "audio", "secrets", "tune")


def _operations() -> set[str]:
    session = botocore.session.get_session()
    return {
        xform_name(operation)
        for service in SERVICES
        for operation in session.get_service_model(service).operation_names
    }


def _named(file: Path) -> Iterator[str]:
    """Methods that are called, and names that stand in a string."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def called() -> set[str]:
    known = _operations()
    folders = (ROOT / "worker", ROOT / "lambda/sentiment_function",
               ROOT / "lambda/transcribe_function")  # fmt: skip
    return {name for folder in folders for file in folder.rglob("*.py") for name in _named(file)
            if name in known}  # fmt: skip


def _allowed(name: str) -> set[str]:
    policy = json.loads((ROOT / "deploy/iam" / f"{name}-policy.json").read_text("utf-8"))
    found: set[str] = set()
    for statement in policy["Statement"]:
        said = statement["Action"]
        found |= {said} if isinstance(said, str) else set(said)
        assert "*" not in found
        assert statement["Resource"] != "*"
    return found


def test_every_call_is_known(called: set[str]) -> None:
    assert called == CALLS.keys()


def test_what_is_called_is_allowed_and_nothing_else() -> None:
    needed = {action for action in CALLS.values() if action} | WAITERS
    assert set().union(*map(_allowed, POLICIES)) == needed


def test_each_policy_is_one_of_these() -> None:
    there = {file.name.removesuffix("-policy.json") for file in (ROOT / "deploy/iam").iterdir()}
    assert there == {*POLICIES, "deploy"}  # which is the workflows': test_workflows.py
    readme = (ROOT / "deploy/README.md").read_text("utf-8")
    assert all(f"iam/{name}-policy.json" in readme for name in there)
