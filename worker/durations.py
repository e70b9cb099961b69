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


def as_text(duration: timedelta) -> str:
    """As `parse_duration` reads it, in the largest unit that it is a whole number of: 15m, 36h."""
    seconds = duration.total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"
