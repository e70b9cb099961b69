"""The command line: parses, prints, exit codes. No logic of its own."""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import sys
from typing import Annotated, TextIO

import typer

from worker import __version__, log
from worker.cli.commands import Commands
from worker.cli.output import say, say_error
from worker.errors import Exit, WorkerError

app = typer.Typer(
    name="sentiment-worker",
    cls=Commands,
    help="Turns records that keep arriving into sentiment that people can trust.\n\n"
    "Try it: [bold]sentiment-worker demo[/bold], or on your own file: "
    "[bold]sentiment-worker once reviews.csv[/bold]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """The installed command: every failure that a user can cause is one sentence and a code."""
    # Until a command takes the signal over: leave in order, so that children are ended.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    _tune_interpreter()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An ASCII terminal shows what it cannot as \xfc.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run()
    finally:
        drained = log.drain()
    if not _let_go(sys.stdout) and code == Exit.DONE:
        code = Exit.FAILED
    if not drained:
        os._exit(code)  # a line is stuck on its way to a reader who takes none
    _let_go(sys.stderr)
    sys.exit(code)


def _run() -> int:
    """The exit code of the command that was given."""
    try:
        app()
    except SystemExit as ended:
        # Typer makes of a reader that went away (`| head`) the exit code 1.
        gone = isinstance(ended.__context__, BrokenPipeError)
        if gone or ended.code is None:
            return Exit.DONE
        return ended.code if isinstance(ended.code, int) else Exit.FAILED
    except WorkerError as error:
        say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return Exit.DONE
    except Exception as error:
        if "-v" in sys.argv or "--verbose" in sys.argv:
            raise
        say(
            f"This should not have happened: {type(error).__name__}. Run it again with -v for "
            "the details, and please report them.",
            style="red",
        )
        return Exit.FAILED
    return Exit.DONE


def _let_go(stream: TextIO) -> bool:
    """Drop what cannot be written: Python's own flush at the end would fail, and its 120 would
    stand in place of the exit code. False where data is lost that somebody wanted: a reader that
    went away wants none, a full disk does."""
    try:
        stream.flush()
    except (OSError, ValueError) as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return getattr(error, "errno", None) == errno.EPIPE
    return True


def _tune_interpreter() -> None:
    """A page makes tens of thousands of tuples that all die with it; looking through them for
    cycles again and again was a quarter of a run's time."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    # A reply that arrives while a page is being read waits for the interpreter this long at most;
    # at Python's 5 ms, calls of 300 ms lost a twentieth of their throughput.
    sys.setswitchinterval(0.001)
