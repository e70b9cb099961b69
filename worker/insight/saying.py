"""Which records are compared for their terms, and in what words that is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from sqlalchemy import Engine

from worker import words
from worker.errors import Misasked
from worker.insight import terms
from worker.insight.scope import require
from worker.insight.terms import MIN_GROUP, Said, Term, said_of
from worker.store.analytics import scores
from worker.store.analytics.scores import TAG_SHOWN, Row, ScoreFilter
from worker.store.analytics.tallies import Scope

Against = Literal["labels", "values", "before"]
AGAINST: tuple[Against, ...] = ("labels", "values", "before")

LOOKED_AT = 50_000
"""Newest records of a period; where two periods are compared, of each."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Terms of one group of records, and what the comparison was."""

    scope: Scope
    label: str | None
    against: Against
    group: int
    """Records that were looked at."""
    comparison: int
    terms: list[Term]
    looked_at: int | None
    """Only so many newest records were looked at, where there were more; None: all."""

    @property
    def is_comparable(self) -> bool:
        return min(self.group, self.comparison) >= MIN_GROUP

    @property
    def verdict(self) -> str:
        """What was compared, in a sentence."""
        kind = f"{self.label} " if self.label else ""
        value = f" of {self.scope.value}" if self.scope.value is not None else ""
        group = words.many(self.group, f"{kind}record{value}", f"{kind}records{value}")
        rest = {
            "labels": "of other labels",
            "values": f"of other values of {self.scope.tag}",
            "before": f"of the {words.many(self.scope.days, 'day', 'days')} before",
        }[self.against]
        period = f"{self.scope.since} to {self.scope.until - timedelta(days=1)}"
        if not self.is_comparable:
            return (
                f"{period}: {group} and {self.comparison:,} {rest} are too few to be compared:"
                f" {MIN_GROUP} of each are needed."
            )
        said = f"{period}: said more in {group} than in {self.comparison:,} {rest}"
        if not self.looked_at:
            return f"{said}."
        of_each = " of each period" if self.against == "before" else ""
        return f"{said}; only the {self.looked_at:,} newest records{of_each} were looked at."


def compare(
    engine: Engine,
    scope: Scope,
    *,
    label: str | None = "negative",
    against: Against | None = None,
    most: int = 20,
    looked_at: int = LOOKED_AT,
) -> Compared:
    """Terms of the scope's records with a label (None: with any), the clearest first. `against`:
    records of other labels, of other values of the scope's tag (where it has one, the default), or
    those of as many days before. Records without a label that counts are left out. Raises Unknown
    and Misasked."""
    against = against or ("values" if scope.tag is not None else "labels")
    if against == "labels" and label is None:
        raise Misasked("Other labels are compared with one label: name it.")
    if against == "values" and scope.tag is None:
        raise Misasked("Other values are compared with one value of a tag: name both.")
    require(engine, scope.records(label=label))
    rows = _Newest(engine, looked_at)
    found = terms.distinctive(
        _said(rows, scope, label, against), names=[scope.value or ""], most=most
    )
    cut = looked_at if rows.is_cut else None
    return Compared(scope, label, against, found.group, found.comparison, list(found.terms), cut)


class _Newest:
    """Asks for the newest records of a filter, and remembers whether there were more."""

    def __init__(self, engine: Engine, most: int) -> None:
        self.is_cut = False
        self._engine = engine
        self._most = most

    def of(self, wanted: ScoreFilter) -> Iterator[Row]:
        for count, row in enumerate(
            scores.ask(self._engine, replace(wanted, limit=self._most + 1)), 1
        ):
            if count > self._most:
                self.is_cut = True
                return
            if row["label"] is not None and row["language_supported"]:
                yield row


def _said(rows: _Newest, scope: Scope, label: str | None, against: Against) -> Iterator[Said]:
    if against == "labels":
        for row in rows.of(scope.records()):
            yield said_of(row, in_group=row["label"] == label)
    elif against == "before":
        for asked, in_group in ((scope, True), (scope.before(), False)):
            for row in rows.of(asked.records(label=label)):
                yield said_of(row, in_group=in_group)
    else:
        name, value = scope.tag or "", (scope.value or "")[:TAG_SHOWN]
        for row in rows.of(scope.on(tag=None, value=None).records(label=label)):
            tags = row["tags"] or {}
            if name in tags:
                yield said_of(row, in_group=tags[name][:TAG_SHOWN] == value)
