"""The local Lambda: Lambda's Invoke API on loopback, in front of execution environments.

Answers as AWS does where that matters: 429 above its concurrency, 413 above 6 MB,
X-Amz-Function-Error, timeouts, 202 for asynchronous invocations, the report line in the log.
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import sys
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from aiohttp import web

from worker.local.environment import Environment
from worker.local.function import Answered, FunctionConfig, Invocation

ASYNC_REQUEST_LIMIT = 1_048_576
ASYNC_QUEUE = 10_000
ASYNC_ATTEMPTS = 3

QUALIFIERS = ("$LATEST", "live")
"""There is one version; `live` is the alias that lambda/template.yaml gives it."""


class LocalLambda:
    """One function, up to `concurrency` environments, started as they are needed."""

    def __init__(self, config: FunctionConfig) -> None:
        self._config = config
        self._idle: list[Environment] = []
        self._all: set[Environment] = set()
        self._busy = 0
        self._events: asyncio.Queue[bytes] = asyncio.Queue(ASYNC_QUEUE)
        self._worker: asyncio.Task[None] | None = None

    def application(self) -> web.Application:
        application = web.Application(client_max_size=self._config.request_bytes * 2)
        path = "/2015-03-31/functions/{name}/invocations"
        application.add_routes([web.post(path, self._invoke)])
        application.on_startup.append(self._start)
        application.on_cleanup.append(self._stop)
        return application

    async def _start(self, _: web.Application) -> None:
        self._worker = asyncio.create_task(self._work_off_events())

    async def _stop(self, _: web.Application) -> None:
        if self._worker:
            self._worker.cancel()
        await asyncio.gather(*(environment.stop() for environment in self._all))

    async def _invoke(self, request: web.Request) -> web.Response:
        if _comes_from_a_page(request):
            return _error(403, "AccessDeniedException", "Web pages may not invoke this function.")
        if not self._is_ours(request):
            name = _function_name(request)
            return _error(404, "ResourceNotFoundException", f"Function not found: {name}")
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            return web.Response(status=204)
        limit = ASYNC_REQUEST_LIMIT if kind == "Event" else self._config.request_bytes
        if (request.content_length or 0) > limit:
            message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
            return _error(413, "RequestEntityTooLargeException", message)
        try:
            invocation = _invocation(request, await request.read() or b"{}")
        except ValueError as error:
            return _error(400, "InvalidRequestContentException", str(error))
        if kind == "Event":
            self._events.put_nowait(invocation.payload)
            return web.Response(status=202)
        answered = await self._run(invocation)
        if answered is None:
            return _error(429, "TooManyRequestsException", "Rate Exceeded.",
                          Reason="ReservedFunctionConcurrentInvocationLimitExceeded")  # fmt: skip
        headers = {
            "X-Amzn-Requestid": invocation.request_id,
            "X-Amz-Executed-Version": "$LATEST",
        }
        if answered.function_error:
            headers["X-Amz-Function-Error"] = answered.function_error
        if request.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(answered.log_tail).decode()
        return web.Response(body=answered.payload, headers=headers, content_type="application/json")

    async def _run(self, invocation: Invocation) -> Answered | None:
        """None when every environment is busy."""
        if self._busy >= self._config.concurrency:
            return None
        self._busy += 1
        environment: Environment | None = None
        try:
            environment = self._warm() or Environment(self._config)
            if not environment.alive:
                self._all.add(environment)
                await environment.start()
            return await environment.invoke(invocation)
        finally:
            self._busy -= 1
            if environment is not None and environment.alive:
                self._idle.append(environment)
            elif environment is not None:
                self._all.discard(environment)

    def _warm(self) -> Environment | None:
        while self._idle:
            environment = self._idle.pop()
            if environment.alive:
                return environment
        return None

    async def _work_off_events(self) -> None:
        """Asynchronous invocations: one after another, three attempts each, as AWS makes."""
        while True:
            payload = await self._events.get()
            attempts = 0
            while attempts < ASYNC_ATTEMPTS:
                try:
                    answered = await self._run(Invocation(payload))
                except OSError:  # no process could be started
                    answered = None
                if answered is None:
                    await asyncio.sleep(0.05)
                    continue
                attempts += 1
                if answered.function_error is None:
                    break

    def _is_ours(self, request: web.Request) -> bool:
        """By name, by partial or full ARN, with or without a qualifier that we know."""
        parts = _function_name(request).split(":")
        if parts[-1] in QUALIFIERS:
            parts.pop()
        known = request.query.get("Qualifier", "$LATEST") in QUALIFIERS
        return known and parts[-1:] == [self._config.name]


async def serve(
    config: FunctionConfig, *, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is told the URL once it answers."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(LocalLambda(config).application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        announce(f"http://{host}:{runner.addresses[0][1]}")
        await stop.wait()
    finally:
        await runner.cleanup()


def _comes_from_a_page(request: web.Request) -> bool:
    """Pages in a browser of this machine can send requests to loopback. No AWS client names an
    Origin; a name in Host that is not ours, on a connection over loopback, is DNS rebinding."""
    if "Origin" in request.headers:
        return True
    address = request.transport.get_extra_info("sockname")[0] if request.transport else ""
    host = urlsplit(f"//{request.host}").hostname
    return address in ("127.0.0.1", "::1") and host not in ("127.0.0.1", "::1", "localhost")


def _invocation(request: web.Request, payload: bytes) -> Invocation:
    """Raises ValueError, with the words of AWS, for what is not JSON."""
    try:
        json.loads(payload)
    except ValueError as error:
        raise ValueError(f"Could not parse request body into json: {error}") from error
    # The runtime client is given the context as JSON, no longer as base64.
    context = request.headers.get("X-Amz-Client-Context")
    try:
        told = json.dumps(json.loads(base64.b64decode(context, validate=True))) if context else None
    except ValueError as error:
        raise ValueError("Client context must be a valid Base64-encoded JSON object.") from error
    trace = request.headers.get("X-Amzn-Trace-Id")
    return Invocation(payload, client_context=told, trace=trace)


def _function_name(request: web.Request) -> str:
    return unquote(request.match_info["name"])


def _error(status: int, code: str, message: str, **more: str) -> web.Response:
    body = {"Type": "User" if status < 500 else "Service", "message": message, **more}
    return web.json_response(body, status=status, headers={"x-amzn-ErrorType": code})


def _announce(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


def main() -> None:
    """The child process of `worker.local.lambda_process`: configuration and port on the command
    line, the URL on stdout, and an end when stdin closes, so that it cannot outlive its parent."""
    config = FunctionConfig(**json.loads(sys.argv[1]))
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0

    async def child() -> None:
        serving = asyncio.create_task(
            serve(config, host="127.0.0.1", port=port, announce=_announce)
        )
        orphaned = asyncio.create_task(asyncio.to_thread(sys.stdin.buffer.read))
        await asyncio.wait({serving, orphaned}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    asyncio.run(child())


if __name__ == "__main__":
    main()
