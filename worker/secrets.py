"""Values that point to a secret: ssm://name, secretsmanager://name (or name#json-key)."""

from __future__ import annotations

import json
from typing import Any

from worker.errors import ConfigurationError

SCHEMES = ("ssm://", "secretsmanager://")


def resolve(value: str, origin: str) -> str:
    """The value itself, or what it points to. Raises ConfigurationError; never quotes a secret."""
    if not value.startswith(SCHEMES):
        return value
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    scheme, _, name = value.partition("://")
    try:
        return _parameter(boto3, name) if scheme == "ssm" else _secret(boto3, name)
    except (BotoCoreError, ClientError, KeyError, ValueError) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
        raise ConfigurationError(
            f"{origin} points to {value}, which cannot be read ({code}).",
            hint="Check the name, AWS_REGION, and that the role may read this one secret.",
        ) from error


def _parameter(boto3: Any, name: str) -> str:
    path = name if name.startswith("/") or "/" not in name else f"/{name}"
    answer = boto3.client("ssm").get_parameter(Name=path, WithDecryption=True)
    return str(answer["Parameter"]["Value"])


def _secret(boto3: Any, name: str) -> str:
    secret_id, _, key = name.partition("#")
    answer = boto3.client("secretsmanager").get_secret_value(SecretId=secret_id)
    text = str(answer["SecretString"])
    return str(json.loads(text)[key]) if key else text
