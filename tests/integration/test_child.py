"""Helper processes: they end with their parent, however it ends, and are started anew."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from worker.aws import Access
from worker.records import Failure
from worker.scoring.sender import DIED, Sender
from worker.scoring.target import LambdaTarget
from worker.scoring.textblob import TextBlobStopgap

PARENT = """
import asyncio, sys, time
from worker.scoring.textblob import TextBlobStopgap

async def main():
    stopgap = TextBlobStopgap()
    await stopgap.opinions(["good"])
    print("ready", flush=True)
    time.sleep(60)

asyncio.run(main())
"""


def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it outlived its parent"
        time.sleep(0.05)


def test_a_killed_textblob_is_started_anew_and_answers() -> None:
    async def main() -> None:
        stopgap = TextBlobStopgap()
        await stopgap.opinions(["good"])
        _signal_children(signal.SIGKILL)
        (opinion,) = await stopgap.opinions(["a wonderful day"])
        assert opinion is not None
        assert opinion.label == "positive"
        await stopgap.close()

    asyncio.run(main())


def test_a_killed_sender_costs_one_attempt(tmp_path: Path) -> None:
    async def main() -> None:
        url = "http://127.0.0.1:9"  # nobody listens there
        sender = Sender(
            LambdaTarget("f", Access("local"), endpoint_url=url, timeout_s=1, max_concurrency=2)
        )
        first = await sender.invoke(b"{}")
        assert isinstance(first, Failure)
        assert first.code == "EndpointConnectionError"
        _signal_children(signal.SIGSTOP)  # so that no answer comes before the kill
        call = asyncio.create_task(sender.invoke(b"{}"))
        await asyncio.sleep(0.1)
        _signal_children(signal.SIGKILL)
        replies = [await call, await sender.invoke(b"{}"), await sender.invoke(b"{}")]
        assert replies.count(DIED) == 1
        assert replies[-1] == first
        await sender.close()

    asyncio.run(main())


def _signal_children(number: signal.Signals) -> None:
    for child in psutil.Process(os.getpid()).children():
        if "worker.scoring" in " ".join(child.cmdline()):
            os.kill(child.pid, number)
