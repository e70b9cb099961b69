"""Durations and moments as people write them: 30s, 10m, 2h; 2026-01-31, or 7d for a week ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def parse_duration(text: str) -> timedelta:
    """Raises ValueError with a sentence."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no duration; write it like 30s, 10m, 2h or 1d")
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None


def parse_moment(text: str) -> datetime:
    """A day, a time, or how long ago; without a zone it is UTC. Raises ValueError."""
    try:
        return datetime.now(UTC) - parse_duration(text)
    except (ValueError, OverflowError):
        found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
