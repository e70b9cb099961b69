"""sentiment-worker: records that keep arriving become sentiment that people can trust."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`worker.score`, imported when it is asked for: the package itself imports nothing."""
    if name == "score":
        return import_module("worker.api").score
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
