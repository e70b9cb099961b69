"""A period as a document: the same words, figures and pictures in HTML, PDF, PNG and on a terminal.

`compose` makes the value, the rest only sets it. Text of records goes in as data, never as markup.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from worker.analysis.summary import Mover, Summary
from worker.store.questions import Group, Tally
from worker.store.scores import Row

TEXT_SHOWN = 280
PPI = 144
"""Of the picture: twice a screen's."""


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


@dataclass(frozen=True, slots=True)
class Share:
    """A value of a tag: how much of what is negative it holds."""

    name: str
    records: str
    net: str
    negative: str
    """Its negative records."""
    of_all: str
    """Their share of all negative records."""


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
    upset: Mapping[str, Sequence[Share]]
    """By tag, the values that hold most of what is negative."""
    movers: Sequence[MoverText]
    lowest: Sequence[Quote]
    trust: Sequence[str]
    made: str
    pictures: Sequence[Picture] = ()


def compose(summary: Summary, now: datetime, pictures: Sequence[Picture] = ()) -> Report:
    """The document of a summary, made at `now`."""
    scope = summary.scope
    about = scope.source or "all sources"
    if scope.tag:
        about += f", {scope.tag} {scope.value}"
    return Report(
        title=f"Sentiment of {about}",
        period=spoken(scope.since, scope.until),
        verdict=verdict(summary),
        figures=_figures(summary),
        upset={tag: [_upset(g, summary.now) for g in gs] for tag, gs in summary.upset.items()},
        movers=[_moved(mover) for mover in summary.movers],
        lowest=[quote(row) for row in summary.lowest if (row["polarity"] or 0) < 0],
        trust=cautions(summary),
        made=f"Made {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC by sentiment-worker "
        f"{version('sentiment-worker')}. Days are UTC.",
        pictures=pictures,
    )


def verdict(summary: Summary) -> str:
    """The one sentence that a reader takes along; says so where the figures do not carry one."""
    now, before, days = summary.now, summary.before, summary.scope.days
    then = "the day before" if days == 1 else f"in the {days} days before"
    if now.net is None:
        return "No record of this time has a score."
    change, noise = summary.change, summary.noise
    if change is None or noise is None:
        return f"Net polarity is {now.net:+.2f}; nothing was scored {then}."
    known = f"Net polarity is {now.net:+.2f}, {then} it was {signed(before.net)}"
    by = f"by {abs(change):.2f} ± {noise:.2f}"
    if not summary.is_comparable:
        return f"{known}, but that time has records on {summary.days_before} of {days} days only."
    if not summary.is_clear:
        return f"{known}: no clear change ({change:+.2f} ± {noise:.2f}, 95 %)."
    return f"{known}: clearly {'better' if change > 0 else 'worse'}, {by} (95 %)."


def as_json(summary: Summary) -> dict[str, Any]:
    """A summary with what follows from it."""
    return asdict(summary) | {
        "change": summary.change,
        "noise": summary.noise,
        "verdict": verdict(summary),
    }


def brief(text: str, size: int = TEXT_SHOWN) -> str:
    """At most so many characters of a text."""
    return text if len(text) <= size else text[: size - 1] + "…"


def quote(row: Row) -> Quote:
    return Quote(
        source=row["source"],
        external_id=row["external_id"],
        when=f"{row['moment']:%Y-%m-%d %H:%M}",
        polarity=signed(row["polarity"]),
        text=brief(" ".join(row["text"].split())),
        provisional=bool(row["provisional"]),
        record_id=row["record_id"],
    )


def signed(value: float | None) -> str:
    """A polarity for people."""
    return "-" if value is None else f"{value:+.2f}"


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
    noise = summary.noise
    change = (
        ""
        if summary.change is None or noise is None
        else (f"before: {signed(before.net)}; change {summary.change:+.2f} ± {noise:.2f}")
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
        records=f"{group.records:,}",
        net=signed(group.net),
        negative=f"{group.negative:,}",
        of_all=share(group.negative, whole.negative),
    )


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
    found = []
    if trust.provisional:
        part = share(trust.provisional, now.records)
        found.append(
            f"Provisional scores: {trust.provisional:,} ({part} of all); they are TextBlob's until"
            " the model answers, and will change."
        )
    else:
        found.append("No score is provisional.")
    if trust.unscored:
        found.append(f"{trust.unscored:,} records have no score (yet, or an empty text).")
    if trust.overridden:
        found.append(f"{trust.overridden:,} records were judged by a person.")
    if trust.quarantined:
        found.append(
            f"{trust.quarantined:,} rows, of any day, are in quarantine: not counted here."
        )
    if trust.not_english:
        found.append(
            f"{trust.not_english:,} of the newest {trust.looked_at:,} records are not in English,"
            " which is all that the model reads: take their scores for noise."
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
    found.append("How often a score is right was measured: docs/trust.md of sentiment-worker.")
    return found


def share(part: int, of: int) -> str:
    """In whole percent; "-" of none."""
    return f"{part / of:.0%}" if of else "-"
