"""Words for people: counts with their noun, and names that were probably meant. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 20


def many(count: int, one: str, several: str) -> str:
    """ "1 record was", "2,000 records were"."""
    return f"{count:,} {one if count == 1 else several}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `name`, whatever the case; None if none does."""
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def instead(name: str, known: Iterable[str]) -> str:
    """The hint for an error that says there is no `name`: what to write instead."""
    there = list(known)
    if not there:
        return "There are none yet."
    meant = nearest(name, there)
    question = f"Did you mean {meant!r}? " if meant else ""
    more = f", and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    return f"{question}There are: {', '.join(there[:SHOWN])}{more}."
