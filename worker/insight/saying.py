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
"""Newest records, of each of the sides that are asked for."""


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
    def verdict(self) -> str:
        """What was compared, in a sentence."""
        kind = f"{self.label} records" if self.label else "records"
        value = f" of {self.scope.value}" if self.scope.value is not None else ""
        rest = {
            "labels": "those of other labels",
            "values": f"those of other values of {self.scope.tag}",
            "before": f"those of the {words.many(self.scope.days, 'day', 'days')} before",
        }[self.against]
        first, last = self.scope.since, self.scope.until - timedelta(days=1)
        said = f"{first} to {last}: said more in {self.group:,} {kind}{value}"
        said += f" than in {self.comparison:,}, {rest}"
        cut = f"; of {self.looked_at:,} newest records" if self.looked_at else ""
        few = min(self.group, self.comparison) < MIN_GROUP
        return f"{said}{cut}." + (f" Fewer than {MIN_GROUP} are not compared." if few else "")


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
