"""The name in the ledger."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
def test_a_user_without_an_entry_in_passwd_has_a_name_too() -> None:
    """As in the shipped image: uid 10001, which nobody wrote into /etc/passwd."""
    asked = "from worker.operate.who import operator; print(operator())"
    # The module is imported as root: the checkout may be closed to others.
    code = f"import os, getpass; import worker.operate.who; os.setuid(54321); {asked}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("uid-54321@")
