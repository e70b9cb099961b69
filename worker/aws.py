"""The one place that makes boto3 clients: which region, which credentials, how long to wait.

Importing boto3 takes a third of a second, so it is imported where a client is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from worker.errors import ConfigurationError

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
ATTEMPTS = 3
"""Of a call that is not an Invoke: reading a secret or an object may be tried again."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where, and as whom, AWS is called.

    A region of None is the profile's (`~/.aws/config`). Keys of None leave the credentials to the
    standard chain: environment, web identity (IRSA), profile, container, instance role.
    https://docs.aws.amazon.com/boto3/latest/guide/credentials.html
    """

    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None


STANDARD = Access()
"""The profile's region, and the standard chain's credentials."""


def client(
    service: str,
    access: Access,
    *,
    endpoint_url: str | None = None,
    read_timeout_s: float = READ_TIMEOUT_S,
    attempts: int = ATTEMPTS,
    **config: Any,
) -> Any:
    """A boto3 client, to be used from many threads. `attempts` 1 sends each call once.

    Raises ConfigurationError for a missing or invalid region, an unknown profile, and incomplete
    keys.
    """
    from botocore import exceptions
    from botocore.config import Config

    if on_loopback(endpoint_url):
        # HTTP_PROXY leads out of this machine, and texts would go with it.
        config["proxies"] = {}
    settings = Config(
        retries={"total_max_attempts": attempts, "mode": "standard"},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        tcp_keepalive=True,
        **config,
    )
    keys = _keys(access, endpoint_url)
    try:
        session = _session(access.region)
        return session.client(service, endpoint_url=endpoint_url, config=settings, **keys)
    except (exceptions.NoRegionError, exceptions.InvalidRegionError) as error:
        raise ConfigurationError(
            "No valid AWS region is set.",
            hint="Set AWS_REGION, for example AWS_REGION=eu-central-1.",
        ) from error
    except exceptions.ProfileNotFound as error:
        raise ConfigurationError(
            f"There is no AWS profile {os.environ.get('AWS_PROFILE', '')!r}.",
            hint="Check AWS_PROFILE, and the files that AWS_CONFIG_FILE and"
            " AWS_SHARED_CREDENTIALS_FILE name (~/.aws/config and ~/.aws/credentials).",
        ) from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"The AWS client cannot be built: {error}") from error


def _session(region: str | None) -> Any:
    import boto3
    from botocore.exceptions import NoRegionError

    session = boto3.Session(region_name=region)
    if session.region_name is None:  # S3 alone would take us-east-1 and say nothing
        raise NoRegionError
    return session


def _keys(access: Access, endpoint_url: str | None) -> dict[str, str | None]:
    if access.access_key_id is None and on_loopback(endpoint_url):
        # A local Lambda checks no signature; botocore insists on making one.
        return {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return {
        "aws_access_key_id": access.access_key_id,
        "aws_secret_access_key": access.secret_access_key,
        "aws_session_token": access.session_token,
    }


def caller(access: Access) -> tuple[str, str]:
    """The caller's ARN and region; needs no permission. Raises what boto3 raises.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    sts = client("sts", access, read_timeout_s=10.0)
    return str(sts.get_caller_identity()["Arn"]), str(sts.meta.region_name)


def code_of(error: Exception) -> str:
    """AWS's own code for an error, else the error's type."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    return str(code or type(error).__name__)


def stray_keys(environ: Mapping[str, str]) -> bool:
    """Are there keys in the environment, which would win over a role or a profile?"""
    return bool(environ.get("AWS_ACCESS_KEY_ID"))


def on_loopback(endpoint_url: str | None) -> bool:
    host = urlsplit(endpoint_url or "").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
