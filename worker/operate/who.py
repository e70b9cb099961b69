"""Who asks, for the ledger."""

from __future__ import annotations

import getpass
import os
import socket


def operator() -> str:
    """The person and the machine: `ada@laptop`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not be in its passwd
        name = f"uid-{os.getuid()}"
    return f"{name}@{socket.gethostname()}"
