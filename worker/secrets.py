"""Values that point to a secret: ssm://name, secretsmanager://name (or name#json-key), env://NAME,
file:///path."""

from __future__ import annotations

import json
import os
from pathlib import Path

from worker import aws
from worker.aws import Access
from worker.errors import ConfigurationError

SCHEMES = ("ssm://", "secretsmanager://", "env://", "file://")


def resolve(value: str, origin: str, access: Access) -> str:
    """The value itself, or what it points to. Raises ConfigurationError; never quotes a secret."""
    if not value.startswith(SCHEMES):
        return value
    scheme, _, name = value.partition("://")
    if scheme in ("env", "file"):
        return _of_this_machine(scheme, name, origin)
    read = _parameter if scheme == "ssm" else _secret
    try:
        return read(name, access)
    except ConfigurationError as error:  # no region, no such profile
        raise ConfigurationError(
            f"{origin} points to {value}, which cannot be read: {error}", hint=error.hint
        ) from error
    except Exception as error:
        _raise_unless_outside(error)
        permission = "ssm:GetParameter" if scheme == "ssm" else "secretsmanager:GetSecretValue"
        raise ConfigurationError(
            f"{origin} points to {value}, which cannot be read ({aws.code_of(error)}).",
            hint=_advice(error, access, permission),
        ) from error


def _advice(error: Exception, access: Access, permission: str) -> str:
    """By what went wrong: no credentials, no way to AWS, or a secret that it will not give."""
    name = type(error).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        return (
            "There are no AWS credentials: give this machine a role, or set AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY. Keys in sentiment-worker.toml count with"
            ' lambda_auth_method = "keys" alone.'
        )
    if not hasattr(error, "response"):
        return "AWS does not answer: check the network, AWS_REGION, and a VPC's endpoints."
    return (
        f"Check the name, AWS_REGION ({access.region or 'the profile names it'}), and that"
        f" {permission} is allowed on this one secret (and kms:Decrypt on its key)."
    )


def _raise_unless_outside(error: Exception) -> None:
    """Raise what is a mistake of ours, and not of the secret or of AWS."""
    from botocore.exceptions import BotoCoreError, ClientError

    if not isinstance(error, BotoCoreError | ClientError | KeyError | ValueError | TypeError):
        raise error


def _of_this_machine(scheme: str, name: str, origin: str) -> str:
    """A variable of the environment, or what a file holds. Raises ConfigurationError."""
    try:
        found = os.environ.get(name) if scheme == "env" else Path(name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(
            f"{origin} points to file://{name}, which cannot be read: {why}.",
            hint="Check that the secret is mounted and readable.",
        ) from error
    if not found:
        raise ConfigurationError(
            f"{origin} points to {scheme}://{name}, which is empty or not set.",
            hint="Set it, or mount the secret.",
        )
    return found


def _parameter(name: str, access: Access) -> str:
    path = name if name.startswith("/") or "/" not in name else f"/{name}"
    answer = aws.client("ssm", access).get_parameter(Name=path, WithDecryption=True)
    return str(answer["Parameter"]["Value"])


def _secret(name: str, access: Access) -> str:
    secret_id, _, key = name.partition("#")
    answer = aws.client("secretsmanager", access).get_secret_value(SecretId=secret_id)
    text = str(answer["SecretString"])
    return str(json.loads(text)[key]) if key else text
