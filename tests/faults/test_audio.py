"""Recordings: workers that die on the way from what was heard to what is kept and scored."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults import mix
from tests.faults.conftest import Note, Scale
from tests.faults.world import Workers, World
from tests.scripted_lambda import Response, aws_error, function_error
from worker import crashpoint

pytestmark = pytest.mark.timeout(3600)

CONCURRENCY = 3


def said_in(content: bytes, window: int) -> str:
    return f"{content.decode()} says {'this' if window else 'that'} is good"


class Transcription:
    """Answers of a transcription function: two windows a recording, and trouble in between. Counts
    what it was paid for."""

    def __init__(self, rng: Random) -> None:
        self.paid: Counter[tuple[bytes, float]] = Counter()
        self.lost = 0
        """Answers that did not arrive: their windows are paid for again."""
        self.is_well = False
        self._rng = rng

    def __call__(self, request: Mapping[str, Any]) -> Response | None:
        if "audio" not in request:
            return None
        trouble = 1.0 if self.is_well else self._rng.random()
        if trouble < 0.10:
            return aws_error(429, "TooManyRequestsException")
        if trouble < 0.11:
            return function_error("Runtime.ExitError")
        content, window = base64.b64decode(request["audio"]), int(request["from"] > 0)
        if trouble < 0.13:
            self.lost += 1
            return Response(drop=True)
        self.paid[content, request["from"]] += 1
        text = said_in(content, window)
        body = {
            "segments": [{"start": 0.0, "end": 600.0, "text": text, "confidence": 0.9}],
            "until": 600.0 * (window + 1),
            "done": window == 1,
            "language": "en",
            "model": "function",
            "model_version": "1",
        }
        return Response(json.dumps({"statusCode": 200, "body": body}).encode())


class Calls:
    """A folder that fills with recordings, some of which are made again."""

    def __init__(self, world: World, folder: Path, rng: Random) -> None:
        self.contents: dict[Path, bytes] = {}
        self._folder = folder / "calls"
        self._folder.mkdir()
        self._rng = rng
        world.config.write_text(
            f'[[source]]\nname = "calls"\nkind = "audio"\npath = "{self._folder}/*.wav"\n'
            f'function = "function"\nevery = "1s"\nconcurrency = {CONCURRENCY}\ntimeout = "5s"\n'
        )

    def add(self) -> None:
        known = list(self.contents)
        again = known and self._rng.random() < 0.1
        path = self._rng.choice(known) if again else self._folder / f"{len(known):05}.wav"
        content = f"{path.stem}-{self._rng.getrandbits(40):x}".encode()
        aside = path.with_suffix(".part")
        aside.write_bytes(content)
        aside.rename(path)  # whole, as a recorder leaves it
        self.contents[path] = content

    def held(self) -> dict[tuple[str, str], str]:
        return {
            ("calls", str(path)): f"{said_in(content, 0)} {said_in(content, 1)}"
            for path, content in self.contents.items()
        }


@pytest.mark.parametrize("point", crashpoint.TRANSCRIPTION)
def test_a_worker_killed_around_keeping_a_transcript(
    world: World, tmp_path: Path, rng: Random, note: Note, point: str
) -> None:
    calls, function = Calls(world, tmp_path, rng), Transcription(Random(1))
    world.endpoint.script = function
    while len(calls.contents) < 6:
        calls.add()
    armed = [sys.executable, "-m", "tests.faults.crashing", "kill", point, "3"]
    killed = subprocess.run([*armed, "once", "--config", str(world.config)], check=False,
                            env=world.shell.variables | {"PYTHONPATH": "."},
                            capture_output=True, timeout=60)  # fmt: skip
    assert killed.returncode == -9
    function.is_well = True
    world.settle(script=function)
    truth = world.truth_of(calls.held())
    twice = sum(count - 1 for count in function.paid.values())
    note("1", f"kill -9 at {point}, 6 recordings in two windows each",
         f"{truth}; {twice} windows paid for twice",
         f"0/0; at most {CONCURRENCY}: those under way")  # fmt: skip
    assert truth.clean, truth
    assert twice <= CONCURRENCY


def test_random_kills_among_recordings(
    world: World, tmp_path: Path, scale: Scale, rng: Random, note: Note
) -> None:
    count, kills = scale.of(60, 1_000), scale.of(4, 100)
    calls, function = Calls(world, tmp_path, rng), Transcription(Random(rng.random()))
    world.endpoint.script = function
    world.endpoint.faults = mix.MIX

    def record() -> None:
        while len(calls.contents) < count:
            calls.add()
            time.sleep(0.1)

    recorder = threading.Thread(target=record)
    recorder.start()
    with Workers(world, 2) as workers:
        while workers.kills < kills or recorder.is_alive():
            time.sleep(rng.uniform(1.0, 3.0))
            workers.kill(rng.randrange(2))
    recorder.join()
    function.is_well = True
    world.settle(script=function)
    truth = world.truth_of(calls.held())
    twice = sum(n - 1 for n in function.paid.values())
    (kept,) = world.rows("SELECT count(*) FROM sentiment.transcript")[0]
    note("1", f"{workers.kills} random kill -9 of 2 workers among recordings that keep arriving,"
         " some made again; the fault mix",
         f"{truth}; of {kept} windows {twice} were paid for again",
         f"0/0; at most {CONCURRENCY} a kill: those under way")  # fmt: skip
    assert truth.clean, truth
    assert twice <= workers.kills * CONCURRENCY
