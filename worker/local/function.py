"""The function that the local Lambda runs, and what goes in and out of it."""

from __future__ import annotations

import asyncio
import importlib.util
import uuid
from dataclasses import dataclass, field

AWS_CLIENT = "awslambdaric"


OWN_CLIENT = "worker.local.runtime_client"


def _runtime_client() -> str:
    return AWS_CLIENT if importlib.util.find_spec(AWS_CLIENT) else OWN_CLIENT


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """What AWS calls the function's configuration."""

    name: str = "sentiment"
    handler: str = "sentiment_function.handler.handler"
    concurrency: int = 2
    timeout_s: float = 60.0
    memory_mb: int = 2048
    request_bytes: int = 6_291_456
    """Of a synchronous call; AWS's limit."""
    region: str = "local"
    runtime_client: str = field(default_factory=_runtime_client)
    """The module that the environment's process runs."""

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:000000000000:function:{self.name}"


@dataclass(slots=True)
class Invocation:
    payload: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_context: str | None = None
    trace: str | None = None
    answer: asyncio.Future[Answered] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@dataclass(frozen=True, slots=True)
class Answered:
    payload: bytes
    function_error: str | None = None
    log_tail: bytes = b""
