"""What is said more in one group of records than in another: words and phrases.

Weighted log-odds with an informative Dirichlet prior: of each term how much likelier it is in the
group, shrunk by how often it is said at all, and divided by its standard error. So neither what
everybody says nor what two people said comes first. Burt L. Monroe, Michael P. Colaresi, Kevin M.
Quinn: Fightin' Words. Political Analysis 16 (2008), https://doi.org/10.1093/pan/mpn018
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple

CLEAR = 1.96
"""z from which on a term is said more by more than chance, in 19 of 20 cases."""

PRIOR = 1_000.0
"""How many sayings the prior weighs, or a tenth of all where that is less. On the airline tweets
100 and 10,000 name the same first ten."""

MIN_RECORDS = 5
"""Of the group, that hold a term: fewer are anecdotes."""

MIN_GROUP = 30
"""Records on each side, for there to be anything to compare."""

LONGEST = 3
"""Words of a phrase."""

COVERED = 0.5
"""Of two terms, one within the other, the longer one stands for both where it has at least this
share of the shorter one's records."""

EXAMPLES = 3

ENDINGS = ("ing", "ed", "s")
SHORTEST_STEM = 4

_LINK = re.compile(r"https?://\S+|www\.\S+|@\w+")
_CLAUSE = re.compile(r"[.!?;:,()\[\]\"\u201c\u201d\u201e\n&/|\u2026]+|\s[-\u2013\u2014]+\s")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")

# A phrase neither begins nor ends with one of these, and none is a term. The prior deals with what
# is common in other languages.
FUNCTION_WORDS = frozenset(
    """a about after again all also am an and any are as at be because been before being but by can
    could did do does doing don't down for from get go got had has have having he her here him his
    how i i'd i'll i'm i've if in into is it it's its just let like me more most my no nor not now
    of off on once only or other our out over own please really s same she should so some such t
    than that that's the their them then there these they they're this those through to too u under
    up us very was way we we're were what when where which while who whom why will with would y'all
    you you're your yours""".split()
)


class Said(NamedTuple):
    """A record, as far as terms need it."""

    record_id: int
    text: str
    in_group: bool
    """Else it is one of the comparison."""
    polarity: float | None


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase that the group says more."""

    term: str
    z: float
    """How clearly: the log-odds ratio in standard errors."""
    records: int
    """Of the group, that hold it."""
    elsewhere: int
    """Of the comparison."""
    share: float
    """`records` of the group's, from 0 to 1."""
    share_elsewhere: float
    examples: tuple[tuple[int, str], ...]
    """Ids and texts of records of the group that hold it, those of the outermost polarity first."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The clearest terms first; none where a side has fewer than `MIN_GROUP` records."""

    group: int
    """Records that were looked at."""
    comparison: int
    terms: Sequence[Term]


class _Record(NamedTuple):
    said: Said
    clauses: list[list[str]]


def distinctive(said: Iterable[Said], *, names: Collection[str] = (), most: int = 20) -> Terms:
    """Terms of the group, at most so many. `names` are the group's own (an airline's): what it is
    called says nothing of it. The texts are gone through once; their words are kept in memory."""
    left_out = FUNCTION_WORDS | _words_of_names(names)
    records: list[_Record] = []
    words: Counter[str] = Counter()
    for each in said:
        clauses = _clauses(each.text)
        records.append(_Record(each, clauses))
        words.update({word for clause in clauses for word in clause})
    group = sum(record.said.in_group for record in records)
    comparison = len(records) - group
    if min(group, comparison) < MIN_GROUP:
        return Terms(group, comparison, ())
    forms = _forms(words)
    records = [
        _Record(record.said, [[forms.get(word, word) for word in c] for c in record.clauses])
        for record in records
    ]
    known = {forms.get(word, word) for word, count in words.items() if count >= MIN_RECORDS}
    ends = {word for word in known if word not in left_out and len(word) > 1}
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for record in records:
        counts[not record.said.in_group].update(set(_phrases(record.clauses, known, ends)))
    chosen = _merged(_by_odds(*counts), most)
    examples = _examples(records, {term for term, _ in chosen}, known, ends)
    return Terms(
        group,
        comparison,
        [
            Term(
                term,
                round(z, 1),
                counts[0][term],
                counts[1][term],
                counts[0][term] / group,
                counts[1][term] / comparison,
                tuple(examples[term]),
            )
            for term, z in chosen
        ],
    )


def _forms(words: Counter[str]) -> dict[str, str]:
    """For a word its commonest form: hour and hours are one term, as are delay and delayed. Only
    where both are said; how English does it, which harms no other language much."""
    forms: dict[str, str] = {}
    for word in words:
        stem = next((word[: -len(e)] for e in ENDINGS if word.endswith(e)), "")
        if len(stem) >= SHORTEST_STEM and stem in words:
            forms[word] = max(word, stem, key=lambda form: words[form])
            forms.setdefault(stem, forms[word])
    return forms


def _words_of_names(names: Collection[str]) -> set[str]:
    """US Airways is also us, airways and usairways."""
    parts = [_WORD.findall(name.lower()) for name in names]
    return {word for words in parts for word in (*words, "".join(words))}


def _clauses(text: str) -> list[list[str]]:
    """Its words, clause by clause: no phrase goes across a full stop. Links and handles are left
    out."""
    plain = _LINK.sub(" . ", text.lower().replace("\u2019", "'"))
    return [words for clause in _CLAUSE.split(plain) if (words := _WORD.findall(clause))]


def _phrases(
    clauses: Sequence[Sequence[str]], known: Collection[str], ends: Collection[str]
) -> Iterator[str]:
    """Of one to `LONGEST` words that are said often enough, with one that means something at each
    end."""
    for clause in clauses:
        for start, first in enumerate(clause):
            if first not in ends:
                continue
            yield first
            phrase = first
            for word in clause[start + 1 : start + LONGEST]:
                if word not in known:
                    break
                phrase = f"{phrase} {word}"
                if word in ends:
                    yield phrase


def _by_odds(group: Counter[str], comparison: Counter[str]) -> list[tuple[str, float, int]]:
    """(term, z, records of the group), the clearest first."""
    sayings = group.total(), comparison.total()
    strength = min(PRIOR, sum(sayings) / 10)
    found = []
    for term, count in group.items():
        if count < MIN_RECORDS:
            continue
        other = comparison[term]
        prior = strength * (count + other) / sum(sayings)
        rest = [
            of + strength - said - prior for said, of in zip((count, other), sayings, strict=True)
        ]
        if min(rest) <= 0:  # nothing else is said
            continue
        odds = [math.log((count + prior) / rest[0]), math.log((other + prior) / rest[1])]
        error = math.sqrt(1 / (count + prior) + 1 / (other + prior))
        if (z := (odds[0] - odds[1]) / error) >= CLEAR:
            found.append((term, z, count))
    return sorted(found, key=lambda each: (-each[1], each[0]))


def _merged(found: Sequence[tuple[str, float, int]], most: int) -> list[tuple[str, float]]:
    """Of terms within one another, one: see `COVERED`."""
    kept: dict[str, tuple[float, int]] = {}
    for term, z, count in found:
        if len(kept) >= most:
            break
        longer = [k for k in kept if _is_within(term, k) and kept[k][1] >= COVERED * count]
        if longer:
            continue
        for shorter in [k for k in kept if _is_within(k, term) and count >= COVERED * kept[k][1]]:
            del kept[shorter]
        kept[term] = (z, count)
    return [(term, z) for term, (z, _) in sorted(kept.items(), key=lambda each: -each[1][0])]


def _is_within(short: str, long: str) -> bool:
    return short != long and f" {short} " in f" {long} "


def _examples(
    records: Sequence[_Record],
    terms: AbstractSet[str],
    known: Collection[str],
    ends: Collection[str],
) -> Mapping[str, list[tuple[int, str]]]:
    group = [record for record in records if record.said.in_group]
    judged = [r.said.polarity for r in group if r.said.polarity is not None]
    sign = 1.0 if sum(judged) > 0 else -1.0

    def outermost(record: _Record) -> float:
        return -sign * (record.said.polarity or 0.0)

    found: dict[str, list[tuple[int, str]]] = {term: [] for term in terms}
    for record in sorted(group, key=outermost):
        for term in terms & set(_phrases(record.clauses, known, ends)):
            if len(found[term]) < EXAMPLES:
                found[term].append((record.said.record_id, record.said.text))
    return found


def said_of(row: Mapping[str, Any], *, in_group: bool) -> Said:
    """A row of `analytics.current_sentiment`."""
    return Said(row["record_id"], row["text"], in_group, row["polarity"])
