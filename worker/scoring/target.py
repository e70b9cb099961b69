"""Which function to call, and what a call gives back. Free of boto3, whose import is slow."""

from __future__ import annotations

from dataclasses import dataclass

from worker.records import Bill


@dataclass(frozen=True, slots=True)
class LambdaTarget:
    """Which function, where, and as whom. Keys are None for the standard credential chain."""

    function: str
    region: str | None
    qualifier: str | None = None
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    timeout_s: float = 60.0
    """The function's timeout; the worker waits a little longer."""
    max_concurrency: int = 64


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP, unverified."""

    payload: bytes
    request_id: str = ""
    """AWS's own name for the invocation, as its log has it."""
    function_error: str | None = None
    bill: Bill | None = None
