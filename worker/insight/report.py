"""A period as a document: the same words, figures and pictures in HTML, PDF, PNG and on a terminal.

`compose` makes the value, the rest only sets it. Text of records goes in as data, never as markup.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from html import unescape
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NamedTuple

from worker import words
from worker.insight.summary import UPSET, Mover, Summary, interval_of
from worker.store.analytics.questions import RANKED
from worker.store.analytics.scores import Row
from worker.store.analytics.tallies import FEW, Group, Standing, Tally

TEXT_SHOWN = 280
PPI = 144
"""Of the picture: twice a screen's."""

MEASURED: Mapping[str, Mapping[str, Any]] = json.loads(
    files("worker.analysis").joinpath("measured.json").read_text("utf-8")
)
"""How much of each label a model finds, by its name and version: written by `make trust`."""


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
    movers: Sequence[MoverText]
    lowest: Sequence[Quote]
    trust: Sequence[str]
    made: str
    pictures: Sequence[Picture] = ()
    newest_columns: Sequence[str] = NEWEST_COLUMNS
    upset_columns: Sequence[str] = UPSET_COLUMNS


def compose(summary: Summary, now: datetime, pictures: Sequence[Picture] = ()) -> Report:
    """The document of a summary, made at `now`."""
    scope = summary.scope
    return Report(
        title=f"Sentiment of {_about(summary)}",
        period=spoken(scope.since, scope.until),
        verdict=verdict(summary),
        figures=_figures(summary),
        newest=[_newest(s) for s in summary.standings] if len(summary.standings) > 1 else (),
        upset={tag: [_upset(g, summary.now) for g in gs] for tag, gs in summary.upset.items()},
        notes=_notes(summary),
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
                f"What else was negative is not shown by other tags: records with {scope.tag} ="
                f" {scope.value} cannot be split by another tag yet."
            )
        ]
    if not summary.upset:
        return []
    few = any(group.is_few for groups in summary.upset.values() for group in groups)
    order = f"Order: {RANKED}; {UPSET} values of each tag at most."
    return [order, FEW_NOTE] if few else [order]


def verdict(summary: Summary) -> str:
    """The one sentence that a reader takes along; says so where the figures do not carry one."""
    now, before, days = summary.now, summary.before, summary.scope.days
    then = "the day before" if days == 1 else f"in the {days} days before"
    if now.net is None:
        return "No record of this time has a score."
    change, interval = summary.change, summary.interval
    if change is None or interval is None:
        return f"Net polarity is {now.net:+.2f}; nothing was scored {then}."
    known = f"Net polarity is {now.net:+.2f}, {then} it was {signed(before.net)}"
    by = changed(change, interval)
    if not summary.is_comparable:
        return f"{known}, but that time has records on {summary.days_before} of {days} days only."
    if not summary.is_clear:
        return f"{known}: no clear change, {by}."
    return f"{known}: clearly {'better' if change > 0 else 'worse'}, {by}."


def as_json(summary: Summary) -> dict[str, Any]:
    """A summary with what follows from it."""
    return asdict(summary) | {
        "change": summary.change,
        "interval": summary.interval,
        "verdict": verdict(summary),
    }


def brief(text: str, size: int = TEXT_SHOWN) -> str:
    """At most so many characters of a text."""
    return text if len(text) <= size else text[: size - 1] + "…"


def legible(text: str) -> str:
    """A text to be read: entities, as feeds and exports leave them, are characters again."""
    return unescape(text) if "&" in text else text


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


def signed(value: float | None) -> str:
    """A polarity for people."""
    return "-" if value is None else f"{value:+.2f}"


def changed(change: float, interval: tuple[float, float]) -> str:
    """A change of net polarity for people, with its 95 % interval."""
    low, high = interval
    return f"{change:+.2f} (95 %: {low:+.2f} to {high:+.2f})"


def html(report: Report) -> bytes:
    """One file that needs no network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("worker.analysis"), autoescape=True, undefined=StrictUndefined
    )
    images = {p.name: _as_url(p.svg) for p in report.pictures}
    return templates.get_template("report.html.j2").render(report=report, images=images).encode()


def pdf(report: Report) -> bytes:
    """A4."""
    return _typeset(report, "pdf")


def png(report: Report) -> bytes:
    """One picture, as tall as it must be."""
    return _typeset(report, "png")


def _typeset(report: Report, kind: str) -> bytes:
    """By Typst, from a template of ours; what is in the report reaches it as data alone."""
    import typst

    template = files("worker.analysis").joinpath("templates", "report.typ").read_bytes()
    data = json.dumps(asdict(report) | {"tall": kind == "png"})
    # Its types know no format that is chosen at run time.
    compiled: bytes = typst.compile(  # type: ignore[call-overload]
        template, format=kind, ppi=PPI if kind == "png" else None, sys_inputs={"data": data}
    )
    return compiled


RENDERERS: Mapping[str, Callable[[Report], bytes]] = {"html": html, "pdf": pdf, "png": png}


def _as_url(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def spoken(since: date, until: date) -> str:
    """A period for people; `until` is not of it."""
    last = until - timedelta(days=1)
    return f"{since:%-d %B %Y}" if since == last else f"{since:%-d %B %Y} to {last:%-d %B %Y}"


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


def cautions(summary: Summary) -> list[str]:
    """What a reader must know, each a sentence; also that there is nothing."""
    trust, now = summary.trust, summary.now
    found = [*_of_mistakes(summary)]
    if trust.provisional:
        part = share(trust.provisional, now.records)
        found.append(
            f"Provisional scores: {trust.provisional:,} ({part} of all); they are TextBlob's until"
            " the model answers, and will change."
        )
    else:
        found.append("No score is provisional.")
    if trust.unscored:
        have = words.many(trust.unscored, "record has", "records have")
        found.append(f"{have} no score (yet, or an empty text).")
    if trust.overridden:
        were = words.many(trust.overridden, "record was", "records were")
        found.append(f"{were} judged by a person.")
    if trust.quarantined:
        rows = words.many(trust.quarantined, "row", "rows")
        found.append(f"{rows}, of any day and tag, in quarantine: not counted here.")
    if trust.not_english:
        are = words.many(trust.not_english, "is", "are")
        found.append(
            f"Of the newest {trust.looked_at:,} records {are} not in English,"
            " which is all that the model reads: treat those scores as noise."
        )
    if trust.language_unknown:
        found.append(
            f"The source does not say the language (of {trust.language_unknown:,} of the newest"
            f" {trust.looked_at:,} records); the model reads English."
        )
    if not summary.is_comparable and summary.before.records:
        found.append(
            f"Days with records: {len(summary.days)}, and {summary.days_before} in the time before;"
            " what moved may be what was not recorded."
        )
    return found


def _of_mistakes(summary: Summary) -> Iterator[str]:
    """What an interval does not cover."""
    trust = summary.trust
    yield (
        "The intervals (±) cover chance in sampling alone, not the model's mistakes, which do not"
        " average out: the true share of negative records may lie outside of them."
    )
    for name in trust.models:
        if measured := MEASURED.get(name):
            yield (
                f"Measured on {measured['texts']:,} {measured['what']} that it was not trained on,"
                f" {measured['name']} finds {measured['negative']:.0%} of what people call"
                f" negative, {measured['neutral']:.0%} of neutral and {measured['positive']:.0%} of"
                " positive; on your texts it may be worse."
            )
        else:
            yield f"How often {name} is right was not measured here."
    if trust.judged:
        yield (
            f"Of {words.many(trust.judged, 'record', 'records')} of any"
            f" {'day' if summary.scope.source else 'source, day'} and tag that people judged,"
            f" {share(trust.agreed, trust.judged)} have the label that the model gave."
            " People chose which to judge: this is no estimate for the others."
        )
    else:
        yield (
            "No person has judged any of these records yet. `sentiment-worker override set` does"
            " that; how often people agree with the model then stands here."
        )


def share(part: int, of: int) -> str:
    """In whole percent; "-" of none."""
    return f"{part / of:.0%}" if of else "-"
