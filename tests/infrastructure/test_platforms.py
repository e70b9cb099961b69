"""The README's first command needs Python and make alone: each package of the lock has a wheel, on
each system that we name. Nothing is installed here; the index is asked what it has."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.infrastructure.conftest import ROOT

MAC = "14.0"
"""The oldest macOS that onnxruntime has wheels for."""

SYSTEMS = {
    "aarch64-apple-darwin": ("3.11", "3.12", "3.13", "3.14"),
    "x86_64-apple-darwin": ("3.11", "3.12", "3.13"),  # onnxruntime's last for Intel Macs
    "aarch64-unknown-linux-gnu": ("3.11", "3.12", "3.13", "3.14"),
    "x86_64-unknown-linux-gnu": ("3.11", "3.12", "3.13", "3.14"),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_package_has_a_wheel(tools: Path, tmp_path: Path, system: str) -> None:
    for version in SYSTEMS[system]:
        done = subprocess.run(
            [tools / "uv", "pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:",
             "--python-platform", system, "--python-version", version, "--target", tmp_path,
             "--requirement", ROOT / "requirements.lock"],
            capture_output=True, text=True, check=False,
            env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": MAC},
        )  # fmt: skip
        assert done.returncode == 0, f"{system} {version}: {done.stderr}"
        (count,) = re.findall(r"Would install (\d+) packages", done.stderr)
        assert int(count) > 150, "the lock was read"


def test_where_there_is_no_wheel_it_says_so(tools: Path, tmp_path: Path) -> None:
    """So that the test above can fail."""
    done = subprocess.run(
        [tools / "uv", "pip", "install", "--dry-run", "--no-deps", "--only-binary", ":all:",
         "--python-platform", "aarch64-apple-darwin", "--target", tmp_path, "awslambdaric==4.2.2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "no usable wheels" in done.stderr
