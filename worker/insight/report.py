"""A period as a document: one value, with the figures, words and pictures that every face shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

from worker import words
from worker.insight.saying import Compared
from worker.insight.summary import UPSET, Mover, Summary, interval_of
from worker.insight.terms import Term
from worker.insight.wording import brief, cautions, changed, legible, share, signed, spoken, verdict
from worker.store.analytics.questions import RANKED
from worker.store.analytics.scores import Row
from worker.store.analytics.tallies import FEW, Group, Standing, Tally


@dataclass(frozen=True, slots=True)
class Figure:
    """A headline number."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A record, as it is quoted."""

    source: str
    external_id: str
    when: str
    polarity: str
    text: str
    provisional: bool
    record_id: int


@dataclass(frozen=True, slots=True)
class MoverText:
    """A group that moved the whole, and the records that show it."""

    tag: str | None
    kind: str
    name: str
    moved: str
    now: str
    before: str
    quotes: Sequence[Quote]


class Share(NamedTuple):
    """A row of a table by tag: a value, and how much of what is negative it holds."""

    name: str
    negative: str
    """Its negative records."""
    rate: str
    """Their share of its own scored records."""
    of_all: str
    """Their share of all negative records."""
    records: str
    net: str


class SaidMore(NamedTuple):
    """A row of the table of terms."""

    term: str
    records: str
    """Negative records that hold it."""
    share: str
    """Their share of the negative records."""
    elsewhere: str
    """The share of the other records that hold it."""


class Newest(NamedTuple):
    """A row of the table of sources: one of them with its own newest week."""

    source: str
    period: str
    days: str
    """Those with records."""
    records: str
    net: str
    before: str
    change: str


UPSET_COLUMNS = ("negative", "share of its own", "share of all negative", "records", "net polarity")
"""The headings of `Share`, behind the tag's name."""

NEWEST_COLUMNS = (
    *("source", "newest week", "days", "records"),
    *("net polarity", "week before", "change"),
)
"""The headings of `Newest`."""

TERMS_COLUMNS = ("term", "negative records", "of the negative", "of the others")
"""The headings of `SaidMore`."""

TERM_SHOWN = 60

FEW_MARK = "(few)"
FEW_NOTE = f"{FEW_MARK}: fewer than {FEW} scored records; a share of so few is mostly chance."


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart as SVG, and what it shows for those who do not see it."""

    name: str
    says: str
    svg: str


@dataclass(frozen=True, slots=True)
class Report:
    title: str
    period: str
    verdict: str
    figures: Sequence[Figure]
    newest: Sequence[Newest]
    """Every source with its own newest week, where the report is not about one source."""
    upset: Mapping[str, Sequence[Share]]
    """By tag, the values that hold most of what is negative."""
    notes: Sequence[str]
    """What to know of the tables by tag: their order, a mark, or why there is none."""
    said_more: Sequence[SaidMore]
    """Words and phrases that negative records say more than others; empty where nobody looked."""
    said_of: str
    """Which records were compared."""
    movers: Sequence[MoverText]
    lowest: Sequence[Quote]
    trust: Sequence[str]
    made: str
    pictures: Sequence[Picture] = ()
    newest_columns: Sequence[str] = NEWEST_COLUMNS
    upset_columns: Sequence[str] = UPSET_COLUMNS
    terms_columns: Sequence[str] = TERMS_COLUMNS


def compose(
    summary: Summary,
    now: datetime,
    pictures: Sequence[Picture] = (),
    compared: Compared | None = None,
) -> Report:
    """The document of a summary, made at `now`; `compared` are its negative records and the
    others."""
    scope = summary.scope
    return Report(
        title=f"Sentiment of {_about(summary)}",
        period=spoken(scope.since, scope.until),
        verdict=verdict(summary),
        figures=_figures(summary),
        newest=[_newest(s) for s in summary.standings] if len(summary.standings) > 1 else (),
        upset={tag: [_upset(g, summary.now) for g in gs] for tag, gs in summary.upset.items()},
        notes=_notes(summary),
        said_more=[_said_more(term) for term in compared.terms] if compared else (),
        said_of=compared.verdict if compared and compared.terms else "",
        movers=[_moved(mover) for mover in summary.movers],
        lowest=[quote(row) for row in summary.lowest if (row["polarity"] or 0) < 0],
        trust=cautions(summary),
        made=f"Made {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC by sentiment-worker "
        f"{version('sentiment-worker')}. Days are UTC.",
        pictures=pictures,
    )


def _about(summary: Summary) -> str:
    """Whose sentiment it is. Sources without a record of the period are not part of it."""
    scope = summary.scope
    known, here = len(summary.standings), [group.name for group in summary.sources]
    if scope.source:
        about = scope.source
    elif known > len(here) and not scope.tag:
        named = f" ({', '.join(here[:3])}{', ...' if len(here) > 3 else ''})" if here else ""
        about = f"{len(here)} of {words.many(known, 'source', 'sources')}{named}"
    else:
        about = "all sources"
    return f"{about}, {scope.tag} {scope.value}" if scope.tag else about


def _said_more(term: Term) -> SaidMore:
    shares = (f"{share:.1%}" for share in (term.share, term.share_elsewhere))
    return SaidMore(brief(term.term, TERM_SHOWN), f"{term.records:,}", *shares)


def _newest(standing: Standing) -> Newest:
    now, before = standing.now, standing.before
    change = "-"
    if now.net is not None and before.net is not None:
        change = changed(now.net - before.net, interval_of(now, before))
    return Newest(
        source=standing.source,
        period=spoken(standing.since, standing.until),
        days=f"{standing.days} of {(standing.until - standing.since).days}",
        records=_records(now),
        net=signed(now.net),
        before=signed(before.net),
        change=change,
    )


def _notes(summary: Summary) -> list[str]:
    scope = summary.scope
    if scope.tag:
        return [
            (
                f"Other tags are not shown: records with {scope.tag} ="
                f" {scope.value} cannot be split by another tag yet."
            )
        ]
    if not summary.upset:
        return []
    few = any(group.is_few for groups in summary.upset.values() for group in groups)
    order = f"Order: {RANKED}; {UPSET} values of each tag at most."
    return [order, FEW_NOTE] if few else [order]


def as_json(summary: Summary) -> dict[str, Any]:
    """A summary with what follows from it."""
    return asdict(summary) | {
        "change": summary.change,
        "interval": summary.interval,
        "verdict": verdict(summary),
    }


def quote(row: Row) -> Quote:
    return Quote(
        source=row["source"],
        external_id=row["external_id"],
        when=f"{row['moment']:%Y-%m-%d %H:%M}",
        polarity=signed(row["polarity"]),
        text=brief(legible(" ".join(row["text"].split()))),
        provisional=bool(row["provisional"]),
        record_id=row["record_id"],
    )


def _figures(summary: Summary) -> list[Figure]:
    now, before = summary.now, summary.before
    found = [Figure("records", f"{now.records:,}", f"before: {before.records:,}")]
    change = (
        ""
        if summary.change is None or summary.interval is None
        else f"before: {signed(before.net)}; change {changed(summary.change, summary.interval)}"
    )
    found.append(Figure("net polarity", signed(now.net), change))
    found += [
        Figure(label, share(getattr(now, label), now.scored),
               f"before: {share(getattr(before, label), before.scored)}")
        for label in ("negative", "neutral", "positive")
    ]  # fmt: skip
    return found


def _upset(group: Group, whole: Tally) -> Share:
    return Share(
        name=group.name,
        negative=f"{group.negative:,}",
        rate=share(group.negative, group.scored),
        of_all=share(group.negative, whole.negative),
        records=_records(group),
        net=signed(group.net),
    )


def _records(tally: Tally) -> str:
    return f"{tally.records:,}" + (f" {FEW_MARK}" if tally.is_few else "")


def _moved(mover: Mover) -> MoverText:
    return MoverText(
        tag=mover.tag,
        kind=mover.tag or "source",
        name=mover.name,
        moved=f"{mover.moved:+.3f}",
        now=_told(mover.now),
        before=_told(mover.before),
        quotes=[quote(row) for row in mover.records],
    )


def _told(tally: Tally) -> str:
    return f"{signed(tally.net)} of {tally.scored:,}" if tally.scored else "no record"
