"""`lambda`: the local Lambda as a command of its own."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from worker import log
from worker.cli import tune
from worker.cli.output import say
from worker.errors import ConfigurationError
from worker.local import lambda_process
from worker.settings import LOCAL_FUNCTION

app = typer.Typer(
    help="The sentiment function: on this machine, and measured.", no_args_is_help=True
)
app.command(epilog=tune.EXAMPLES)(tune.tune)


@app.command(
    epilog="Example:  [bold]sentiment-worker lambda local --port 9001[/bold], then "
    "[bold]AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws lambda invoke --region local "
    "--endpoint-url http://127.0.0.1:9001 --function-name sentiment "
    '--payload \'{"texts": \\["I love this!"]}\' out.json[/bold]  '
    "(version 2 of aws also wants --cli-binary-format raw-in-base64-out)"
)
def local(
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 9001,
    concurrency: Annotated[int, typer.Option(min=1, help="Execution environments.")] = 2,
    timeout: Annotated[float, typer.Option(min=0.1, help="The function's timeout, seconds.")] = 60,
    memory: Annotated[int, typer.Option(min=64, help="The function's memory, MB.")] = 2048,
    name: Annotated[str, typer.Option(help="The function's name.")] = LOCAL_FUNCTION,
) -> None:
    """Serve Lambda's Invoke API on 127.0.0.1 with the real runtime client and the real handler."""
    lambda_process.require_installed()
    from worker.local import lambda_service  # needs the extra `local`
    from worker.local.function import FunctionConfig

    log.configure()
    config = FunctionConfig(name=name, concurrency=concurrency, timeout_s=timeout, memory_mb=memory)

    def announce(url: str) -> None:
        typer.echo(url)
        say(f"The function {name!r} answers here. Use it as: AWS_ENDPOINT_URL_LAMBDA={url}")

    serving = lambda_service.serve(config, host="127.0.0.1", port=port, announce=announce)
    try:
        asyncio.run(serving)
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} cannot be listened on: {error.strerror}.",
            hint="Choose another port, or let the system choose: --port 0.",
        ) from error
