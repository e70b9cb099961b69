"""A period in one value: how it was, against the period before, what moved it, and how far to
trust it. The report, the page and the assistants' tools say the same because they all say this."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Engine

from worker.errors import Misasked
from worker.insight.trust import Trust, trust_in
from worker.polarity import centre, margin
from worker.scoring import textblob
from worker.store import reading
from worker.store.analytics import questions, record_questions, scores
from worker.store.analytics.scores import Extreme, Row
from worker.store.analytics.tallies import Day, Group, Scope, Standing, Tally

MOVERS = 5
"""How many groups to name that moved the whole most."""

UPSET = 8
"""Values of each tag to name that hold most of what is negative."""

EXAMPLES = 3
"""Records to show of each of them."""

LOWEST = 5
"""The most negative records of the period to show."""

COMPARED = 500
"""Records on which the model is compared with TextBlob: the newest."""

TEXT_COMPARED = 1_000
"""Characters of each that TextBlob reads: its time grows faster than the text."""

CANNOT_SAY = "cannot say"

Agreement = Mapping[tuple[str, str], int]
"""(the model's label, TextBlob's) -> records."""


@dataclass(frozen=True, slots=True)
class Mover:
    """A group that moved the whole: a source, or a value of a tag."""

    tag: str | None
    """The tag's name; None: the group is a source."""
    name: str
    now: Tally
    before: Tally
    moved: float
    """Its part of the change of net polarity."""
    records: Sequence[Row]
    """The most negative ones of the period if it moved down, else the most positive."""


@dataclass(frozen=True, slots=True)
class Summary:
    scope: Scope
    now: Tally
    before: Tally
    days: Sequence[Day]
    sources: Sequence[Group]
    """Those that have records in the period."""
    standings: Sequence[Standing]
    """Every source with its own newest days; empty where the scope is one source, or one tag's
    value."""
    days_before: int
    """Days of the period before that have records."""
    upset: Mapping[str, Sequence[Group]]
    """By tag, the values that hold most negative records, those first. Empty where the scope is one
    tag's value: see `questions.tags`."""
    movers: Sequence[Mover]
    lowest: Sequence[Row]
    """The most negative records."""
    trust: Trust

    @property
    def change(self) -> float | None:
        """Of net polarity against the period before."""
        if self.now.net is None or self.before.net is None:
            return None
        return self.now.net - self.before.net

    @property
    def is_comparable(self) -> bool:
        """Has the period before records on half as many days at least?"""
        return 2 * self.days_before >= len(self.days)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `change`; its middle is `change` only where records are many."""
        return None if self.change is None else interval_of(self.now, self.before)

    @property
    def is_clear(self) -> bool:
        """Is the change more than chance, or days without records, would explain?"""
        low, high = self.interval or (0.0, 0.0)
        return self.is_comparable and not low <= 0.0 <= high


def period(
    engine: Engine,
    *,
    since: date | None = None,
    until: date | None = None,
    source: str | None = None,
    tag: tuple[str, str] | None = None,
    days: int | None = None,
) -> Scope:
    """The scope that is meant: without dates the last `days` (7) days up to the newest record that
    is not of the future.

    Raises Misasked where nothing can lie between, and Unknown for a source, tag or value that
    nobody knows.
    """
    if since is not None and days is not None:
        raise Misasked("A first day and a number of days are two answers to one question: one.")
    if source is not None:
        reading.require_source(engine, source)
    if tag is not None:
        questions.require_tag(engine, source, *tag)
    today = datetime.now(UTC).date()
    found = questions.extent(engine, source, tag, until=today + timedelta(days=1))
    newest = found[1] if found else today
    # Since a day after which nothing came: that nothing came is the answer.
    last = newest if since is None or since <= newest else max(since, today)
    end = until or last + timedelta(days=1)
    span = timedelta(days=questions.NEWEST_DAYS if days is None else days)
    begin = since or end - min(span, end - date.min)
    if begin >= end:
        raise Misasked(f"From {begin} to {end - timedelta(days=1)} there is no day.")
    name, value = tag or (None, None)
    return Scope(begin, end, source, name, value)


def summarise(engine: Engine, scope: Scope) -> Summary:
    """The whole of it: some ten questions, each answered from roll-ups or by an index."""
    before = scope.before()
    days = questions.days(engine, scope)
    days_before = questions.days(engine, before)
    now, then = questions.total(days), questions.total(days_before)
    tags = _by_tag(engine, scope)
    return Summary(
        scope=scope,
        now=now,
        before=then,
        days=days,
        sources=questions.ranked(questions.sources(engine, scope)),
        standings=() if scope.source or scope.tag else questions.standings(engine),
        days_before=len(days_before),
        upset={tag: groups[:UPSET] for tag, (groups, _) in tags.items()},
        movers=_movers(engine, scope, (now, then), tags),
        lowest=record_questions.extremes(engine, scope, "most-negative", LOWEST),
        trust=trust_in(engine, scope, now),
    )


def contributions(
    groups: tuple[Sequence[Group], Sequence[Group]], whole: tuple[Tally, Tally]
) -> list[tuple[Group, Group, float]]:
    """(now, before, its part of the change of net polarity), the largest first; both arguments are
    (now, before). A group moves the whole by how far it stands from what the whole was before,
    weighed by its share: where every record is in one group, the parts add up to the change."""
    new, old = ({g.name: g for g in each} for each in groups)
    base = whole[1].net or 0.0

    def part(group: Group, of: Tally) -> float:
        return group.scored / of.scored * ((group.net or 0.0) - base) if group.scored else 0.0

    found = []
    for name in sorted(old.keys() | new.keys()):
        n, o = new.get(name, Group(name=name)), old.get(name, Group(name=name))
        found.append((n, o, part(n, whole[0]) - part(o, whole[1])))
    return sorted(found, key=lambda each: -abs(each[2]))


def scored_by_the_model(engine: Engine, scope: Scope) -> list[tuple[str, str]]:
    """(label, text) of `COMPARED` records that a model has scored, of the newest."""
    wanted = scope.records(scorer="lambda", among=2 * COMPARED, limit=COMPARED)
    return [(row["machine_label"], row["text"]) for row in scores.ask(engine, wanted)]


def compare_with_textblob(texts: Sequence[tuple[str, str]]) -> Agreement:
    """What TextBlob, asked now, says of texts that a model has labelled."""
    counts: Counter[tuple[str, str]] = Counter()
    for label, text in texts:
        opinion = textblob.opinion(text[:TEXT_COMPARED])
        counts[label, opinion.label if opinion else CANNOT_SAY] += 1
    return counts


ByTag = Mapping[str, tuple[Sequence[Group], Sequence[Group]]]
"""The values of each tag: (now, before)."""


def _by_tag(engine: Engine, scope: Scope) -> ByTag:
    if scope.tag is not None:
        return {}
    return {
        tag: (
            questions.values(engine, scope, tag, limit=None),
            questions.values(engine, scope.before(), tag, limit=None),
        )
        for tag in questions.tags(engine, scope)
    }


def _movers(engine: Engine, scope: Scope, whole: tuple[Tally, Tally], tags: ByTag) -> list[Mover]:
    if any(tally.net is None for tally in whole):
        return []
    pairs: list[tuple[str | None, Group, Group, float]] = []
    if scope.source is None and scope.tag is None:
        sources = questions.sources(engine, scope), questions.sources(engine, scope.before())
        if len({g.name for each in sources for g in each}) > 1:
            pairs += [(None, *each) for each in contributions(sources, whole)]
    for tag, groups in tags.items():
        pairs += [(tag, *each) for each in contributions(groups, whole)]
    pairs.sort(key=lambda each: -abs(each[3]))
    return [
        Mover(tag, n.name, n, o, moved, _examples(engine, scope, tag, n.name, moved))
        for tag, n, o, moved in pairs[:MOVERS]
        if moved
    ]


def _examples(
    engine: Engine, scope: Scope, tag: str | None, name: str, moved: float
) -> Sequence[Row]:
    narrowed = scope.on(source=name) if tag is None else scope.on(tag=tag, value=name)
    order: Extreme = "most-negative" if moved < 0 else "most-positive"
    return record_questions.extremes(engine, narrowed, order, EXAMPLES)


def interval_of(now: Tally, before: Tally) -> tuple[float, float]:
    """The 95 % interval of the change of net polarity between two tallies."""
    half = math.hypot(*(margin(t.positive, t.neutral, t.negative) for t in (now, before)))
    new, old = (centre(t.positive, t.neutral, t.negative) for t in (now, before))
    return max(-2.0, new - old - half), min(2.0, new - old + half)
