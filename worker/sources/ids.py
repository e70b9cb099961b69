"""Which column is a record's id, where nobody has said so. Pure.

A wrong id is worse than none: rows of one customer would replace each other. So a column is taken
without asking only where its name says that it is the record's, and its values say so too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.errors import ConfigurationError
from worker.records import CONTENT_ID, ROW_ID

USUAL = ("id",)

SAMPLE_ROWS = 1_000
"""Of a file, from its beginning, in which values are compared."""

ALMOST_ALL = 0.98
"""Of the rows that differ, those that need a value of their own: exports hold rows that were edited
while they were written."""

_LIKE_AN_ID = re.compile(r"(?:(?P<of>.*?)[_ -]?)(?:id|uuid|guid|key)", re.IGNORECASE)
_ITS_OWN = frozenset(
    "answer article comment document email entry event feedback mail mention message note post"
    " record reply response review row submission survey ticket tweet".split()
)
"""What records are called: review_id is the review's, customer_id is not."""


@dataclass(frozen=True, slots=True)
class IdRule:
    """A column's name, `CONTENT_ID` or `ROW_ID`, and why."""

    rule: str
    why: str = ""
    others: tuple[str, ...] = ()
    """Columns that could have been it."""


def choose(
    wanted: str | None, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], file: str
) -> IdRule:
    """The id's rule for a file: as it was said, else the usual name, else what its first rows say.

    `rows` are read only where they are needed. Raises ConfigurationError where a column may be it,
    and only a person can know.
    """
    if wanted is not None:
        return IdRule(wanted)
    by_lower = {name.lower(): name for name in reversed(columns)}
    usual = next((by_lower[name] for name in USUAL if name in by_lower), None)
    like = [name for name in columns if _LIKE_AN_ID.fullmatch(name.strip()) and name != usual]
    if usual is not None:
        return IdRule(usual, others=tuple(like))
    if not like:
        return IdRule(CONTENT_ID)
    count, unique = _unique(like, rows)
    own = [name for name in unique if _is_its_own(name, file)]
    if len(own) == 1:
        others = tuple(name for name in like if name != own[0])
        return IdRule(own[0], f"different in {count:,} rows looked at", others)
    if unique:
        named = " and ".join(map(repr, unique))
        raise ConfigurationError(
            f"{file} has no column 'id', and {named} may be it: different in each of the first"
            f" {count:,} rows.",
            hint=f"Say which it is: --id {unique[0]}; or --id {CONTENT_ID} (equal rows are one"
            f' record), --id {ROW_ID} (each row is one). In a configured source: id = "...".',
        )
    return IdRule(CONTENT_ID, others=tuple(like))


def _unique(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """How many different rows there are, and the columns that tell them apart."""
    different = {tuple(sorted((k, str(v)) for k, v in row.items())): row for row in rows}
    if not different:
        return 0, []
    unique = []
    for name in names:
        values = [row.get(name) for row in different.values()]
        if all(v not in (None, "") for v in values) and len(set(map(str, values))) >= max(
            1, ALMOST_ALL * len(values)
        ):
            unique.append(name)
    return len(different), unique


def _is_its_own(name: str, file: str) -> bool:
    """Does the name say that it is the record's: review_id, tweet_id in tweets.csv, uuid, key?"""
    found = _LIKE_AN_ID.fullmatch(name.strip())
    of = (found["of"] if found else "").lower().strip("_ -")
    stem = file.rsplit("/", 1)[-1].split(".", 1)[0].lower()
    return not of or of in _ITS_OWN or (len(of) > 2 and stem.rstrip("s").endswith(of))
