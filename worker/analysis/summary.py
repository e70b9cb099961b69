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
from worker.polarity import margin
from worker.scoring import textblob
from worker.store import questions, reading, scores
from worker.store.questions import Day, Group, Scope, Tally
from worker.store.scores import Row

DEFAULT_DAYS = 7

MOVERS = 5
"""How many groups to name that moved the whole most."""

UPSET = 8
"""Values of each tag to name that hold most of what is negative."""

EXAMPLES = 3
"""Records to show of each of them."""

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
class Trust:
    """What there is to know before a figure is quoted."""

    provisional: int
    """Scored by TextBlob until the model answers."""
    unscored: int
    overridden: int
    """Judged by a person."""
    quarantined: int
    """Rows that could not be read or scored, of any day."""
    not_english: int
    """Of the newest records, those whose source says another language; the model reads English."""
    language_unknown: int
    looked_at: int
    """How many newest records that is."""


@dataclass(frozen=True, slots=True)
class Summary:
    scope: Scope
    now: Tally
    before: Tally
    days: Sequence[Day]
    sources: Sequence[Group]
    days_before: int
    """Days of the period before that have records."""
    upset: Mapping[str, Sequence[Group]]
    """By tag, the values that hold most negative records, those first."""
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
    def noise(self) -> float | None:
        """Half the 95 % interval of `change`: less than that may be chance."""
        if self.now.net is None or self.before.net is None:
            return None
        return math.hypot(_margin(self.now), _margin(self.before))

    @property
    def is_clear(self) -> bool:
        """Is the change more than chance, or days without records, would explain?"""
        change, noise = self.change, self.noise
        known = change is not None and noise is not None and self.is_comparable
        return known and abs(change or 0.0) > (noise or 0.0)


def period(
    engine: Engine,
    *,
    since: date | None = None,
    until: date | None = None,
    source: str | None = None,
    tag: tuple[str, str] | None = None,
    days: int = DEFAULT_DAYS,
) -> Scope:
    """The scope that is meant: without dates the last `days` days up to the newest record that is
    not of the future.

    Raises Misasked where nothing can lie between, and Unknown for a source that nobody knows.
    """
    if source is not None:
        reading.require_source(engine, source)
    today = datetime.now(UTC).date()
    found = questions.extent(engine, source, until=today + timedelta(days=1))
    newest = found[1] if found else today
    # Since a day after which nothing came: that nothing came is the answer.
    last = newest if since is None or since <= newest else max(since, today)
    end = until or last + timedelta(days=1)
    begin = since or end - min(timedelta(days=days), end - date.min)
    if begin >= end:
        raise Misasked(f"From {begin} to {end - timedelta(days=1)} there is no day.")
    name, value = tag or (None, None)
    return Scope(begin, end, source, name, value)


def summarise(engine: Engine, scope: Scope, *, among: int | None = None) -> Summary:
    """The whole of it: some ten questions, each answered from roll-ups or by an index.

    Records that show it are looked for among all of the scope, or among so many newest of each
    group: for who waits for a page.
    """
    before = scope.before()
    lowest = scope.records(order="most-negative", limit=5, among=among)
    days = questions.days(engine, scope)
    days_before = questions.days(engine, before)
    now, then = questions.total(days), questions.total(days_before)
    tags = _by_tag(engine, scope)
    return Summary(
        scope=scope,
        now=now,
        before=then,
        days=days,
        sources=questions.sources(engine, scope),
        days_before=len(days_before),
        upset={tag: _most_negative(groups) for tag, (groups, _) in tags.items()},
        movers=_movers(engine, scope, (now, then), tags, among),
        lowest=list(scores.ask(engine, lowest)),
        trust=_trust(engine, scope, now),
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


def _most_negative(groups: Sequence[Group]) -> Sequence[Group]:
    return sorted(groups, key=lambda g: (-g.negative, g.name))[:UPSET]


def _movers(
    engine: Engine, scope: Scope, whole: tuple[Tally, Tally], tags: ByTag, among: int | None
) -> list[Mover]:
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
        Mover(tag, n.name, n, o, moved, _examples(engine, scope, tag, n.name, moved, among))
        for tag, n, o, moved in pairs[:MOVERS]
        if moved
    ]


def _examples(
    engine: Engine, scope: Scope, tag: str | None, name: str, moved: float, among: int | None
) -> Sequence[Row]:
    narrowed = scope.on(source=name) if tag is None else scope.on(tag=tag, value=name)
    order = "most-negative" if moved < 0 else "most-positive"
    return list(scores.ask(engine, narrowed.records(order=order, limit=EXAMPLES, among=among)))


def _trust(engine: Engine, scope: Scope, now: Tally) -> Trust:
    languages = {row["language"]: row["records"] for row in questions.languages(engine, scope)}
    looked_at = sum(languages.values())
    unknown = languages.pop(None, 0)
    english = sum(n for name, n in languages.items() if name.lower().startswith("en"))
    return Trust(
        provisional=now.provisional,
        unscored=now.unscored,
        overridden=now.overridden,
        quarantined=questions.quarantine_size(engine, scope.source),
        not_english=looked_at - unknown - english,
        language_unknown=unknown,
        looked_at=looked_at,
    )


def _margin(tally: Tally) -> float:
    return margin(tally.positive, tally.neutral, tally.negative)
