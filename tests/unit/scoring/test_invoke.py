"""What an exception of the SDK means: what a person is told, and whether a call was made."""

from __future__ import annotations

import pytest
from botocore import exceptions as aws

from worker.records import FailureKind, Reach
from worker.scoring.invoke import classify

URL = "https://lambda.example"


def client_error(code: str, status: int) -> aws.ClientError:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(answer, "Invoke")


@pytest.mark.parametrize(
    ("error", "kind", "reach", "said"),
    [
        (aws.NoCredentialsError(), FailureKind.MISCONFIGURED, Reach.NOT_SENT, "no AWS credentials"),
        (aws.ParamValidationError(report="x"), FailureKind.MISCONFIGURED, Reach.NOT_SENT, "ARN"),
        (aws.SSLError(endpoint_url=URL, error="x"), FailureKind.UNAVAILABLE, Reach.UNKNOWN, "TLS"),
        (
            aws.ProxyConnectionError(proxy_url=URL),
            FailureKind.UNAVAILABLE,
            Reach.NOT_SENT,
            "HTTPS_PROXY",
        ),
        (
            aws.ConnectTimeoutError(endpoint_url=URL),
            FailureKind.UNAVAILABLE,
            Reach.NOT_SENT,
            "VPC endpoint",
        ),
        (
            aws.ReadTimeoutError(endpoint_url=URL),
            FailureKind.UNAVAILABLE,
            Reach.UNKNOWN,
            "LAMBDA_TIMEOUT",
        ),
        (
            aws.ConnectionClosedError(endpoint_url=URL),
            FailureKind.UNAVAILABLE,
            Reach.UNKNOWN,
            "No answer came back",
        ),
        (
            client_error("AccessDeniedException", 403),
            FailureKind.MISCONFIGURED,
            Reach.ANSWERED,
            "lambda:InvokeFunction",
        ),
        (client_error("301", 301), FailureKind.MISCONFIGURED, Reach.ANSWERED, "a redirect"),
        (client_error("x", 429), FailureKind.THROTTLED, Reach.ANSWERED, "HTTP 429"),
        (client_error("<html>", 502), FailureKind.UNAVAILABLE, Reach.ANSWERED, "HTTP 502"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_it_means(error: Exception, kind: FailureKind, reach: Reach, said: str) -> None:
    found = classify(error)
    assert (found.kind, found.reach) == (kind, reach)
    assert said in found.message
