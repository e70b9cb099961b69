"""One Invoke through boto3: the client, the call, and what its errors mean.

One attempt is one HTTP request: boto3's own retries are off, the worker owns timing, retry
budget and concurrency.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import boto3
from botocore import exceptions as aws

import worker
from worker.aws import client as make
from worker.records import Bill, Failure, FailureKind, Reach
from worker.scoring.target import LambdaTarget, Reply

MAX_ANSWER = 7 * 1024 * 1024
"""Bytes. Lambda's own limit is 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

MAX_MS, MAX_MEMORY_MB = 15 * 60 * 1000, 10_240
"""Of any function: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_REPORT = re.compile(
    r"^REPORT .*\bBilled Duration: (\d{1,9}) ms\b.*\bMemory Size: (\d{1,6}) MB\b", re.MULTILINE
)
_CODE = re.compile(r"[A-Za-z][\w.:-]{0,63}", re.ASCII)

_TRACE: ContextVar[str | None] = ContextVar("trace", default=None)

USER_AGENT = f"sentiment-worker/{worker.__version__} boto3/{boto3.__version__}"
"""Also the faster way: botocore's own user agent is put together anew for each call, 15 % of it."""

_MISCONFIGURED = frozenset(
    """
    ResourceNotFoundException RuntimeAliasDeletedException NoPublishedVersionException
    AccessDeniedException AccessDenied UnrecognizedClientException InvalidClientTokenId
    InvalidSignatureException SignatureDoesNotMatch IncompleteSignature ExpiredTokenException
    ExpiredToken InvalidAccessKeyId MissingAuthenticationToken OptInRequired NotAuthorized
    KMSAccessDeniedException KMSDisabledException KMSInvalidStateException KMSNotFoundException
    InvalidRuntimeException RuntimeVersionDeletedException InvalidZipFileException
    InvalidSecurityGroupIDException InvalidSubnetIDException EC2AccessDeniedException
    CodeArtifactUserDeletedException CodeArtifactUserFailedException EFSMountFailureException
    S3FilesMountFailureException ServiceQuotaExceededException InvalidParameterValueException
    ModeNotSupportedException RecursiveInvocationException UnsupportedMediaTypeException
    DurableExecutionAlreadyStartedException ValidationException
    """.split()
)
_THROTTLED = frozenset(
    "TooManyRequestsException ThrottlingException Throttling EC2ThrottledException".split()
)
_TOO_LARGE = frozenset(
    "RequestTooLargeException RequestEntityTooLargeException"
    " SerializedRequestEntityTooLargeException".split()
)
_UNAVAILABLE = frozenset(
    """
    ServiceException ResourceNotReadyException ResourceConflictException
    CodeArtifactUserPendingException EC2UnexpectedException EFSIOException
    EFSMountConnectivityException EFSMountTimeoutException ENILimitReachedException
    ENINotReadyException S3FilesMountConnectivityException S3FilesMountTimeoutException
    SnapStartException SnapStartNotReadyException SnapStartRegenerationFailureException
    SnapStartTimeoutException SubnetIPAddressLimitReachedException
    """.split()
)
_REDIRECTS = (301, 302, 303, 307, 308)
_REJECTED = frozenset(("InvalidRequestContentException",))

_ADVICE = {
    "ResourceNotFoundException": "There is no such function: check LAMBDA_FUNCTION_NAME, its "
    "alias or version, and AWS_REGION; is it deployed?",
    "AccessDeniedException": "These credentials may not invoke the function: grant "
    "lambda:InvokeFunction on its ARN (alias included).",
    "UnrecognizedClientException": "AWS does not know this access key: check the credentials "
    "and AWS_REGION.",
    "InvalidSignatureException": "The secret key does not match the access key, or this "
    "machine's clock is off by more than 5 minutes.",
    "ExpiredTokenException": "The session token has expired: renew the credentials.",
}

_NO_CREDENTIALS = (
    "There are no AWS credentials: give this machine a role, or set LAMBDA_AUTH_METHOD=keys with"
    " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)
_NEVER_MADE: Sequence[tuple[Any, str, str]] = (
    (
        (aws.NoCredentialsError, aws.PartialCredentialsError, aws.TokenRetrievalError),
        "no_credentials",
        _NO_CREDENTIALS,
    ),
    (
        aws.ParamValidationError,
        "bad_parameter",
        "LAMBDA_FUNCTION_NAME is not a name or ARN.",
    ),
)
_NOT_SENT: Mapping[type[Exception], str] = {
    aws.SSLError: "TLS failed: the endpoint's certificate is not one that this machine trusts, or "
    "something in between answers in its place. A company's own authority goes into AWS_CA_BUNDLE",
    aws.ProxyConnectionError: "The proxy of HTTPS_PROXY does not connect",
    aws.ConnectTimeoutError: "The endpoint does not accept a connection: check the route to AWS "
    "(security group, VPC endpoint, proxy)",
    aws.EndpointConnectionError: "Nothing answers at the endpoint: check AWS_REGION and "
    "AWS_ENDPOINT_URL_LAMBDA, and that the name can be resolved",
}
_BEFORE_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")


class Invoker:
    """Calls the function; blocks; may be used from many threads."""

    def __init__(self, target: LambdaTarget) -> None:
        self.client = make_client(target)
        self.client.meta.events.register("before-call.lambda.Invoke", _pass_on_trace)
        self._arguments = {"FunctionName": target.function, "LogType": "Tail"}
        if target.qualifier:
            self._arguments["Qualifier"] = target.qualifier

    def invoke(self, call: tuple[bytes, str | None]) -> Reply | Failure:
        """One HTTP request of (payload, trace header). Never raises for what happened."""
        payload, trace = call
        _TRACE.set(trace)  # of this thread
        try:
            response = self.client.invoke(Payload=payload, **self._arguments)
            return _reply(response)
        except Exception as error:  # noqa: BLE001  whatever the SDK raises is an outcome
            return classify(error)


def _pass_on_trace(params: dict[str, Any], **_: Any) -> None:
    """https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader"""
    if trace := _TRACE.get():
        params["headers"]["X-Amzn-Trace-Id"] = trace


def _reply(response: Any) -> Reply | Failure:
    payload = response["Payload"]
    content = payload.read(MAX_ANSWER + 1)
    if len(content) > MAX_ANSWER:
        payload.close()
        told = "The answer has no end."
        bill = bill_of(response.get("LogResult"))
        return Failure(
            FailureKind.REJECTED, "answer_too_large", told, bill=bill, reach=Reach.UNKNOWN
        )
    payload.read(1)  # only at the end does the SDK see that a body was cut
    return Reply(
        content,
        request_id=str(response["ResponseMetadata"].get("RequestId", "")),
        function_error=response.get("FunctionError"),
        bill=bill_of(response.get("LogResult")),
    )


def bill_of(log_tail: str | None) -> Bill | None:
    """What the report line at the end of a call's log says; base64, 4 KB at most. Functions that
    log as JSON report in a record of their own.

    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (X-Amz-Log-Result)
    https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html (platform.report)
    """
    try:
        tail = base64.b64decode(log_tail or "").decode("utf-8", "replace")
    except ValueError:
        return None
    found = _REPORT.findall(tail) or list(_reported_in_json(tail))
    if not found:
        return None
    milliseconds, memory_mb = found[-1]  # Lambda's own is last, whatever the function wrote
    if 0 < int(milliseconds) <= MAX_MS and 0 < int(memory_mb) <= MAX_MEMORY_MB:
        return Bill(int(milliseconds), int(memory_mb))
    return None  # whoever wrote it, it was not Lambda


def _reported_in_json(tail: str) -> Iterator[tuple[int, int]]:
    for line in tail.splitlines():
        if '"platform.report"' not in line:
            continue
        with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
            metrics = json.loads(line)["record"]["metrics"]
            yield int(metrics["billedDurationMs"]), int(metrics["memorySizeMB"])


def make_client(target: LambdaTarget, attempts: int = 1) -> Any:
    """A boto3 client; by default it sends each call once. Raises ConfigurationError."""
    return make(
        "lambda",
        target.access,
        endpoint_url=target.endpoint_url,
        read_timeout_s=target.timeout_s + 5.0,
        attempts=attempts,
        max_pool_connections=target.max_concurrency,
        parameter_validation=False,
        user_agent=USER_AGENT,
    )


def classify(error: Exception) -> Failure:
    """What an exception of the SDK means: by error code, then by HTTP status, then unknown."""
    if isinstance(error, aws.ClientError):
        return _client_error(error)
    for types, code, advice in _NEVER_MADE:
        if isinstance(error, types):
            return Failure(FailureKind.MISCONFIGURED, code, advice, reach=Reach.NOT_SENT)
    code = type(error).__name__
    for unsent, why in _NOT_SENT.items():
        if isinstance(error, unsent):
            cause = _innermost(error)
            # TLS may also fail while an answer is read.
            sent = unsent is aws.SSLError and cause not in _BEFORE_TLS
            reach = Reach.UNKNOWN if sent else Reach.NOT_SENT
            return Failure(FailureKind.UNAVAILABLE, code, f"{why} ({cause}).", reach=reach)
    told = f"No answer came back ({code}). If it lasts, compare LAMBDA_TIMEOUT with the function's."
    return Failure(FailureKind.UNAVAILABLE, code, told, reach=Reach.UNKNOWN)


def _innermost(error: Exception) -> str:
    """The code or type of what the SDK wrapped: NameResolutionError, CERTIFICATE_VERIFY_FAILED."""
    wrapped = getattr(error, "kwargs", {}).get("error")
    inner: BaseException = wrapped if isinstance(wrapped, BaseException) else error
    reason = getattr(inner, "reason", None)
    while isinstance(reason, BaseException):
        inner, reason = reason, getattr(reason, "reason", None)
    cause = inner.args[0] if inner.args and isinstance(inner.args[0], BaseException) else inner
    code = getattr(cause, "reason", None)
    return code if isinstance(code, str) else type(cause).__name__


def _client_error(error: aws.ClientError) -> Failure:
    code = str(error.response.get("Error", {}).get("Code"))
    if not _CODE.fullmatch(code):
        code = "unknown"  # whoever answered, it was not AWS
    metadata = error.response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    kind = _kind_of(code, status)
    advice = _ADVICE.get(code, f"Lambda answered {code} (HTTP {status}).")
    if status in _REDIRECTS:
        advice = (
            f"The endpoint answers with a redirect (HTTP {status}), which Lambda never does: write"
            " its final address in AWS_ENDPOINT_URL_LAMBDA."
        )
    return Failure(kind, code, advice, _retry_after(metadata.get("HTTPHeaders", {})))


def _kind_of(code: str, status: int) -> FailureKind:
    by_code = {
        FailureKind.MISCONFIGURED: _MISCONFIGURED,
        FailureKind.THROTTLED: _THROTTLED,
        FailureKind.TOO_LARGE: _TOO_LARGE,
        FailureKind.UNAVAILABLE: _UNAVAILABLE,
        FailureKind.REJECTED: _REJECTED,
    }
    for kind, codes in by_code.items():
        if code in codes:
            return kind
    by_status = {
        **dict.fromkeys(_REDIRECTS, FailureKind.MISCONFIGURED),
        401: FailureKind.MISCONFIGURED,
        403: FailureKind.MISCONFIGURED,
        404: FailureKind.MISCONFIGURED,
        413: FailureKind.TOO_LARGE,
        429: FailureKind.THROTTLED,
    }
    return by_status.get(status, FailureKind.UNAVAILABLE)


def _retry_after(headers: dict[str, str]) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def check_access(client: Any, target: LambdaTarget) -> Failure | None:
    """A dry run: permission and existence, without running the function."""
    arguments = {"FunctionName": target.function, "InvocationType": "DryRun"}
    if target.qualifier:
        arguments["Qualifier"] = target.qualifier
    try:
        client.invoke(**arguments)
    except Exception as error:  # noqa: BLE001  as above
        return classify(error)
    return None
