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
from worker.sources.rows.layout import CONTENT_ID, ROW_ID

USUAL = ("id",)

ASK_FROM = 20
"""Different rows from which on a column that tells them apart is asked about: in fewer, most do."""

SAMPLE_ROWS = 1_000
"""Of a file, from its beginning, in which values are compared."""

ALMOST_ALL = 0.98
"""Of the rows that differ, those that need a value of their own: exports hold rows that were edited
while they were written."""

_LIKE_AN_ID = re.compile(
    r"(?:(?P<of>.*)[_ -])?(?i:id|uuid|guid|key)|(?P<camel>.*[a-z])(?:Id|ID|Uuid|UUID|Guid|GUID|Key)"
)
"""review_id, Comment-ID, reviewId, uuid; not paid or monkey."""
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
        why = f"{unique[own[0]]:,} different values in the {count:,} different rows looked at"
        return IdRule(own[0], why, others)
    if unique and count >= ASK_FROM:
        named = " and ".join(map(repr, unique))
        least = min(unique.values())
        raise ConfigurationError(
            f"{file} has no column 'id', and {named} may be it: {least:,} different values in the"
            f" first {count:,} different rows.",
            hint=f"Say which it is: --id {next(iter(unique))}; or --id {CONTENT_ID} (equal rows are"
            f' one record), --id {ROW_ID} (each row is one). In a configured source: id = "...".',
        )
    return IdRule(CONTENT_ID, others=tuple(like))


def require_different_names(paths: Iterable[str]) -> None:
    """Raises ConfigurationError where a row's place would be the id of two: it is the file's name
    and the row's number."""
    by_name: dict[str, str] = {}
    for path in sorted(paths):
        other = by_name.setdefault(path.rsplit("/", 1)[-1], path)
        if other != path:
            raise ConfigurationError(
                f"{other} and {path} have the same name, and with --id {ROW_ID} their rows would"
                " have the same ids.",
                hint="Name the column of ids; or read each folder under a --name of its own.",
            )


def _unique(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> tuple[int, dict[str, int]]:
    """How many different rows there are, and the columns that tell (almost) all of them apart, with
    the number of their values."""
    different = {tuple(sorted((k, str(v)) for k, v in row.items())): row for row in rows}
    found = {}
    for name in names:
        values = [row.get(name) for row in different.values()]
        count = len(set(map(str, values)))
        if (
            values
            and all(v not in (None, "") for v in values)
            and count >= ALMOST_ALL * len(values)
        ):
            found[name] = count
    return len(different), found


def _is_its_own(name: str, file: str) -> bool:
    """Does the name say that it is the record's: review_id, tweet_id in tweets.csv, uuid, key?"""
    found = _LIKE_AN_ID.fullmatch(name.strip())
    of = ((found["of"] or found["camel"] or "") if found else "").lower().strip("_ -")
    stem = file.rsplit("/", 1)[-1].split(".", 1)[0].lower()
    return not of or of in _ITS_OWN or (len(of) > 2 and stem.rstrip("s").endswith(of))
