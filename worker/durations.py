"""Durations as people write them: 30s, 10m, 2h, 1d."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def parse_duration(text: str) -> timedelta:
    """Raises ValueError with a sentence."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no duration; write it like 30s, 10m, 2h or 1d")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
