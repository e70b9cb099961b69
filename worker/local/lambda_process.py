"""The local Lambda as a child process, so that it does not share the worker's interpreter."""

from __future__ import annotations

import importlib.util
import json
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import ConfigurationError, WorkerError

START_TIMEOUT_S = 30.0
NEEDED = ("aiohttp", "awslambdaric", "onnxruntime", "tokenizers", "sentiment_function")


@contextmanager
def running(*, concurrency: int, timeout_s: float) -> Iterator[str]:
    """The endpoint URL of a local Lambda that lives as long as the context.

    Raises ConfigurationError when the extra `local` is not installed.
    """
    require_installed()
    config = {"concurrency": concurrency, "timeout_s": timeout_s}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "worker.local.lambda_service", json.dumps(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the worker, which then ends this one
    )
    try:
        yield _announced(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def require_installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"The local Lambda is not installed ({', '.join(missing)} missing).",
            hint="Set LAMBDA_FUNCTION_NAME to use AWS's, or run: "
            "pip install 'sentiment-worker[local]'",
        )


def _announced(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(START_TIMEOUT_S) else b""
    url = line.decode().strip()
    if not url:
        raise WorkerError(
            "The local Lambda did not start.", hint="Run: sentiment-worker lambda local"
        )
    return url
