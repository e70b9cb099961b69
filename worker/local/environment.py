"""One execution environment of the local Lambda: a process that runs AWS's runtime client
(`awslambdaric`; ours where that does not install) and the real handler, and the Runtime API that it
asks for work.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from collections import deque
from pathlib import Path

from aiohttp import web

from worker.local.function import Answered, FunctionConfig, Invocation

RESPONSE_LIMIT = 6_291_556
"""Bytes of a synchronous answer: 6 MB and 100 bytes, as AWS's own error message says."""


LOG_TAIL_BYTES = 4096
MEMORY_POLL_S = 0.1

PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "MODEL_DIR",
    "LONG_TEXTS",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LOG_LEVEL",
    "TRANSCRIPTION_MODEL",
    "TRANSCRIPTION_MODEL_NAME",
    "HF_HOME",
)
"""What an environment sees of ours. Not DATABASE_URL, no keys: the function has no use for them."""


class Environment:
    """Cold until its first invocation; dead after a timeout, an exit or too much memory."""

    def __init__(self, config: FunctionConfig) -> None:
        self.alive = False
        self._config = config
        self._inbox: asyncio.Queue[Invocation] = asyncio.Queue(1)
        self._current: Invocation | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._runner: web.AppRunner | None = None
        self._log: deque[bytes] = deque(maxlen=200)
        self._watch: list[asyncio.Task[None]] = []
        self._init_ms: float | None = None
        self._ready = asyncio.Event()
        self._init_error: bytes | None = None
        self._peak_mb = 0
        self._spent = False

    async def start(self) -> None:
        """Open a Runtime API of its own and start the process."""
        application = web.Application(client_max_size=RESPONSE_LIMIT + (1 << 20))
        base = "/2018-06-01/runtime"
        application.add_routes(
            [
                web.get(f"{base}/invocation/next", self._next),
                web.post(f"{base}/invocation/{{id}}/response", self._response),
                web.post(f"{base}/invocation/{{id}}/error", self._error),
                web.post(f"{base}/init/error", self._failed_init),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        started = time.perf_counter()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", self._config.runtime_client, self._config.handler),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._variables(port),
            cwd=Path(__file__).parents[2],
        )
        self.alive = True
        self._watch = [
            asyncio.create_task(self._read_log(self._process)),
            asyncio.create_task(self._reap(self._process)),
        ]
        await self._ready.wait()
        self._init_ms = (time.perf_counter() - started) * 1000

    async def invoke(self, invocation: Invocation) -> Answered:
        """Run one invocation to its answer, its timeout or the process's end."""
        if self._init_error is not None or not self.alive:
            await self.stop()
            return Answered(self._init_error or self._exit_payload(invocation), "Unhandled")
        self._log.clear()
        self._log.append(f"START RequestId: {invocation.request_id} Version: $LATEST\n".encode())
        started = time.perf_counter()
        self._current = invocation
        await self._inbox.put(invocation)
        guard = asyncio.create_task(self._watch_memory())
        try:
            async with asyncio.timeout(self._config.timeout_s):
                answered = await invocation.answer
        except TimeoutError:
            answered = await self._timed_out(invocation)
        finally:
            guard.cancel()
            self._current = None
            if self._spent:
                await self.stop()
        return self._reported(invocation, answered, (time.perf_counter() - started) * 1000)

    async def stop(self) -> None:
        self.alive = False
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        for task in self._watch:
            task.cancel()
        if self._runner:
            await self._runner.cleanup()

    # -- the Runtime API -------------------------------------------------------------------

    async def _next(self, request: web.Request) -> web.Response:
        self._ready.set()
        invocation = await self._inbox.get()
        deadline = int((time.time() + self._config.timeout_s) * 1000)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": self._config.arn,
            "Lambda-Runtime-Trace-Id": invocation.trace or _new_trace(),
        }
        if invocation.client_context:
            headers["Lambda-Runtime-Client-Context"] = invocation.client_context
        return web.Response(
            body=invocation.payload, headers=headers, content_type="application/json"
        )

    async def _response(self, request: web.Request) -> web.Response:
        payload = await request.read()
        if len(payload) > RESPONSE_LIMIT:
            error = {
                "errorMessage": "Response payload size exceeded maximum allowed payload size "
                f"({RESPONSE_LIMIT} bytes).",
                "errorType": "Function.ResponseSizeTooLarge",
            }
            self._spent = True  # the runtime client does not survive the refusal
            self._give(request, Answered(json.dumps(error).encode(), "Unhandled"))
            return web.json_response(error, status=413)
        self._give(request, Answered(payload))
        return web.json_response({"status": "OK"}, status=202)

    async def _error(self, request: web.Request) -> web.Response:
        self._give(request, Answered(await request.read(), "Unhandled"))
        return web.json_response({"status": "OK"}, status=202)

    async def _failed_init(self, request: web.Request) -> web.Response:
        self._init_error = await request.read()
        self._ready.set()
        return web.json_response({"status": "OK"}, status=202)

    def _give(self, request: web.Request, answered: Answered) -> None:
        current = self._current
        expected = current.request_id if current else None
        if current and request.match_info["id"] == expected and not current.answer.done():
            current.answer.set_result(answered)

    # -- the process -----------------------------------------------------------------------

    def _variables(self, port: int) -> dict[str, str]:
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        paths = [p for p in sys.path if p] + passed.get("PYTHONPATH", "").split(os.pathsep)
        return passed | {
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, paths))),
            "PYTHONUNBUFFERED": "1",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": self._config.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._config.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_REGION": self._config.region,
            "_HANDLER": self._config.handler,
            "TZ": ":UTC",
            # One environment is one caller at a time; its threads would fight its neighbours'.
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        while block := await process.stdout.read(4096):
            self._log.append(block)

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self.alive = False
        self._ready.set()
        if self._current and not self._current.answer.done():
            payload = self._exit_payload(self._current)
            self._current.answer.set_result(Answered(payload, "Unhandled"))

    async def _watch_memory(self) -> None:
        """Lambda counts resident memory and kills what exceeds it. No /proc, no limit."""
        while self._process and self._process.returncode is None:
            resident = _resident_mb(self._process.pid)
            self._peak_mb = max(self._peak_mb, resident)
            if resident > self._config.memory_mb:
                self._process.kill()
            await asyncio.sleep(MEMORY_POLL_S)

    async def _timed_out(self, invocation: Invocation) -> Answered:
        await self.stop()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        seconds = f"{self._config.timeout_s:.2f} seconds"
        message = f"{moment} {invocation.request_id} Task timed out after {seconds}"
        error = {"errorType": "Sandbox.Timedout", "errorMessage": message}
        return Answered(json.dumps(error).encode(), "Unhandled")

    def _exit_payload(self, invocation: Invocation) -> bytes:
        code = self._process.returncode if self._process else None
        how = f"exit status {code}"
        if code is not None and code < 0:
            how = f"signal: {signal.strsignal(-code) or -code}".lower()
        message = f"RequestId: {invocation.request_id} Error: Runtime exited with error: {how}"
        return json.dumps({"errorType": "Runtime.ExitError", "errorMessage": message}).encode()

    def _reported(self, invocation: Invocation, answered: Answered, duration_ms: float) -> Answered:
        """The answer with AWS's report line at the end of its log."""
        initialised, self._init_ms = self._init_ms, None
        billed = int(duration_ms + (initialised or 0.0)) + 1
        if self._process and self._process.returncode is None:
            self._peak_mb = max(self._peak_mb, _resident_mb(self._process.pid))
        report = (
            f"END RequestId: {invocation.request_id}\n"
            f"REPORT RequestId: {invocation.request_id}\tDuration: {duration_ms:.2f} ms\t"
            f"Billed Duration: {billed} ms\tMemory Size: {self._config.memory_mb} MB\t"
            f"Max Memory Used: {self._peak_mb} MB\t"
        )
        if initialised is not None:
            report += f"Init Duration: {initialised:.2f} ms\t"
        tail = (b"".join(self._log) + report.encode() + b"\n")[-LOG_TAIL_BYTES:]
        return Answered(answered.payload, answered.function_error, tail)


def _new_trace() -> str:
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"


def _resident_mb(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // (1 << 20)
