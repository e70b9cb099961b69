"""The local Lambda as a child process, so that it does not share the worker's interpreter."""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from worker.errors import ConfigurationError, WorkerError
from worker.log import get_logger
from worker.speech import MAX_LOCAL_BYTES

log = get_logger(__name__)

START_TIMEOUT_S = 30.0
RESTART_AFTER_S = 1.0
NEEDED = ("aiohttp", "onnxruntime", "tokenizers", "sentiment_function")
NEEDED_TO_TRANSCRIBE = ("aiohttp", "faster_whisper", "transcribe_function")

TRANSCRIPTION = "transcription"
"""The name that the local transcription function answers to."""


@contextmanager
def running(*, concurrency: int, timeout_s: float) -> Iterator[str]:
    """The endpoint URL of a local Lambda that lives as long as the context; one that dies is
    started again, under the same URL.

    Raises ConfigurationError when the extra `local` is not installed.
    """
    require_installed()
    with _serving({"concurrency": concurrency, "timeout_s": timeout_s}) as url:
        yield url


@contextmanager
def transcription(*, timeout_s: float) -> Iterator[str]:
    """The same of the transcription function; it loads its model with the first call.

    Raises ConfigurationError when the extra `audio` is not installed, and where no model is named.
    """
    if missing := [name for name in NEEDED_TO_TRANSCRIBE if importlib.util.find_spec(name) is None]:
        raise ConfigurationError(
            f"The local transcription function is not installed ({', '.join(missing)} missing).",
            hint='Name a function at AWS (function = "..."), or run: '
            "pip install 'sentiment-worker[audio]'",
        )
    model = os.environ.get("TRANSCRIPTION_MODEL")
    if not model:
        raise ConfigurationError(
            "No model is named that turns speech into text.",
            hint="Set TRANSCRIPTION_MODEL to a folder with CTranslate2's files of Whisper, or to a"
            " size that is fetched from Hugging Face once: tiny (75 MB), base, small (480 MB), ...",
        )
    config = {
        "name": TRANSCRIPTION,
        "handler": "transcribe_function.handler.handler",
        "concurrency": 1,
        "timeout_s": timeout_s,
        "memory_mb": 10_240,
        "request_bytes": MAX_LOCAL_BYTES * 3 // 2,
    }
    # The function runs in a folder of its own, from which a relative path leads elsewhere.
    named = os.path.abspath(model) if os.path.isdir(model) else model
    with _serving(config, {"TRANSCRIPTION_MODEL": named}) as url:
        yield url


@contextmanager
def _serving(config: dict[str, Any], variables: Mapping[str, str] = {}) -> Iterator[str]:
    service = _Service(config, variables)
    watch = threading.Thread(target=service.keep_alive, name="local-lambda", daemon=True)
    watch.start()
    try:
        yield service.url
    finally:
        service.end()
        watch.join(15)


class _Service:
    def __init__(self, config: dict[str, Any], variables: Mapping[str, str]) -> None:
        self._config = config
        self._variables = variables
        self._ending = threading.Event()
        self._process = self._start(port=0)
        self.url = _announced(self._process)

    def keep_alive(self) -> None:
        """Until `end`."""
        while True:
            self._process.wait()
            if self._ending.wait(RESTART_AFTER_S):
                return
            log.warning("local_lambda.died", code=self._process.returncode)
            self._close()
            try:
                self._process = self._start(port=urlsplit(self.url).port or 0)
            except OSError as error:
                log.error("local_lambda.not_started", error=str(error))
            if self._ending.is_set():  # meanwhile
                self._close()

    def end(self) -> None:
        self._ending.set()
        process = self._process
        self._close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        config = json.dumps(self._config)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "worker.local.lambda_service", config, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | self._variables,
            start_new_session=True,  # Ctrl-C is for the worker, which then ends this one
        )

    def _close(self) -> None:
        """Its stdin is its life, as the socket is of `worker.child`."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


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
