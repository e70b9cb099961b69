"""What an exception of the SDK means, and what a report line says that a call cost."""

from __future__ import annotations

import base64

import pytest
from botocore import exceptions as aws

from worker.records import Bill, FailureKind, Reach
from worker.scoring.invoke import bill_of, classify

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


def log(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


REPORT = (
    "REPORT RequestId: 1\tDuration: 12.31 ms\tBilled Duration: 13 ms\tMemory Size: 1769 MB\t"
    "Max Memory Used: 180 MB\tInit Duration: 400.12 ms\n"
)


def test_the_last_report_line_is_lambdas_own() -> None:
    assert bill_of(log(f"END RequestId: 1\n{REPORT}")) == Bill(13, 1769)
    forged = REPORT.replace("13 ms", "1 ms")
    assert bill_of(log(f"{forged}END RequestId: 1\n{REPORT}")) == Bill(13, 1769)


def test_a_function_that_logs_as_json_reports_in_json() -> None:
    metrics = '{"durationMs": 12.3, "billedDurationMs": 13, "memorySizeMB": 1769}'
    report = f'{{"type": "platform.report", "record": {{"metrics": {metrics}}}}}\n'
    assert bill_of(log(f'{{"type": "platform.start"}}\n{report}')) == Bill(13, 1769)


ABSURD = (
    '{"type": "platform.report", "record": {"metrics": '
    '{"billedDurationMs": 1e999, "memorySizeMB": 9}}}'
)


@pytest.mark.parametrize(
    "tail",
    [
        None,
        "",
        "%%%",
        log("START\nEND\n"),
        log("REPORT of mine\n"),
        log('{"type": "platform.report", "record": 1}\n'),
    ],
)
def test_without_a_report_line_there_is_no_bill(tail: str | None) -> None:
    assert bill_of(tail) is None


def test_an_absurd_report_costs_no_answer() -> None:
    assert bill_of(log(f"{ABSURD}\n")) is None
