"""What the image adds to AWS's base image. No engine is here: the same packages, by the same file,
into a folder, and the function with nothing but them and Python's own library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.conftest import LAMBDA

MAX_MB = 250

_ASK = """
import json
from sentiment_function.handler import handler
print(json.dumps(handler({"texts": ["I love this!", "This is terrible"]}, None)))
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *(
                "--require-hashes",
                "--no-deps",
                "--target",
                folder,
                "-r",
                LAMBDA / "requirements.txt",
            ),
        ],
        check=True,
    )
    return folder


def test_it_is_enough(packages: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", _ASK],  # -S: without this environment's packages
        env={"PYTHONPATH": f"{packages}{os.pathsep}{LAMBDA}", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    results = answer["body"]["results"]
    assert [result["sentiment"] for result in results] == ["positive", "negative"]


def test_it_is_small(packages: Path) -> None:
    sizes = {
        entry.name: sum(f.stat().st_size for f in entry.rglob("*") if f.is_file()) / 2**20
        for entry in packages.iterdir()
    }
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert sum(sizes.values()) < MAX_MB, largest
    heavy = {name for name in sizes if name.startswith(("torch", "transformers", "scipy"))}
    assert not heavy
