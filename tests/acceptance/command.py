"""The installed command as an operator runs it: a subprocess, an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("sentiment-worker")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs commands in `folder` with nothing of ours in the environment but what is given."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SENTIMENT_HOME": str(folder / "home"),
        } | variables

    def __call__(self, *arguments: object, timeout: float = 150, **variables: str) -> Done:
        done = subprocess.run(
            [str(COMMAND), *map(str, arguments)],
            cwd=self.folder,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(self, *arguments: object, **variables: str) -> Iterator[subprocess.Popen[str]]:
        with open(self.folder / "started.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [str(COMMAND), *map(str, arguments)],
                cwd=self.folder,
                env=self.variables | variables,
                stdout=log,
                stderr=log,
                text=True,
                stdin=subprocess.DEVNULL,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
