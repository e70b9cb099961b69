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


def is_slip(typed: str, name: str) -> bool:
    """Is it `name` with one character missing, added, changed, or swapped with its neighbour?"""
    if typed == name or abs(len(typed) - len(name)) > 1:
        return False
    pairs = enumerate(zip(typed, name, strict=False))
    at = next((n for n, (one, other) in pairs if one != other), -1)
    if at < 0:  # one more, or one less, at the end
        return True
    left, right = typed[at:], name[at:]
    swapped = left[1::-1] == right[:2] and left[2:] == right[2:]
    return swapped or left[1:] in (right[1:], right) or left == right[1:]


def instead(name: str, known: Iterable[str]) -> str:
    """The hint for an error that says there is no `name`: what to write instead."""
    there = list(known)
    if not there:
        return "There are none yet."
    meant = nearest(name, there)
    question = f"Did you mean {meant!r}? " if meant else ""
    more = f", and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    return f"{question}There are: {', '.join(there[:SHOWN])}{more}."
