"""Which charts there are: what each asks of the database, and how it is drawn and said in words.

Asking and drawing are apart so that a server can draw in another process: what goes between them
is frozen values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from worker.insight import charts, drawing, summary
from worker.insight.charts import LIGHT, Chart, Style
from worker.insight.report import Picture
from worker.insight.wording import signed
from worker.store.analytics import questions, record_questions
from worker.store.analytics.tallies import Bin, Day, Group, Scope

SIDE_BY_SIDE = 12
"""Groups in a chart, at most; the chart says how many there are."""

A_MONTH = 28
"""A calendar of less says nothing."""

Drawn = tuple[Chart, str]
"""A chart, and what it says."""


@dataclass(frozen=True, slots=True)
class Entry:
    title: str
    """For people who do not see the picture."""
    ask: Callable[[Engine, Scope], Any]
    draw: Callable[[Any, Scope, Style], Drawn]


def picture(engine: Engine, scope: Scope, name: str, style: Style = LIGHT) -> Picture:
    """A chart of the scope, drawn. Raises KeyError for a name that is not in `CHARTS`."""
    return draw(name, CHARTS[name].ask(engine, scope), scope, style)


def draw(name: str, found: Any, scope: Scope, style: Style = LIGHT) -> Picture:
    """What `CHARTS[name].ask` found, drawn."""
    chart, said = CHARTS[name].draw(found, scope, style)
    return Picture(name, said, drawing.svg(chart, style))


def chosen(scope: Scope) -> dict[str, str]:
    """The charts that say something of a period, in their order, with their titles."""
    return {
        name: entry.title
        for name, entry in CHARTS.items()
        if name != "calendar" or scope.days >= A_MONTH
    }


def _trend(days: Sequence[Day], scope: Scope, style: Style) -> Drawn:
    shown = [(day.net, day.day) for day in days if day.net is not None]
    said = "Net polarity by day, with volume."
    if shown:
        low, high = min(shown), max(shown)
        said += f" Lowest {signed(low[0])} on {low[1]}, highest {signed(high[0])} on {high[1]}."
    return charts.trend(days, scope, style), said


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups side by side, and what they are."""

    groups: Sequence[Group]
    note: str
    """What they are grouped by, and in which order they stand."""


def _groups(engine: Engine, scope: Scope) -> Groups:
    """Sources side by side. Of a single one, the values of its first tag that tells them apart. Of
    one value of a tag, all values of the tag: the others are what it is compared with."""
    if scope.tag is not None:
        everything = scope.on(tag=None, value=None)
        found = questions.values(engine, everything, scope.tag, limit=None)
        shown = [g for n, g in enumerate(found) if n < SIDE_BY_SIDE or g.name == scope.value]
        return Groups(
            shown, f"all values of {scope.tag}, {questions.RANKED}; {_left(found, shown)}"
        )
    groups = questions.ranked(questions.sources(engine, scope))
    if len(groups) == 1:
        for tag in questions.tags(engine, scope):
            found = questions.values(engine, scope, tag, limit=None)
            if len(found) > 1:
                shown = found[:SIDE_BY_SIDE]
                return Groups(shown, f"by {tag}, {questions.RANKED}; {_left(found, shown)}")
    shown = groups[:SIDE_BY_SIDE]
    return Groups(shown, f"by source, {questions.RANKED}; {_left(groups, shown)}")


def _left(found: Sequence[Group], shown: Sequence[Group]) -> str:
    return f"{len(shown)} of {len(found)}" if len(shown) < len(found) else f"all {len(found)}"


def _shares(found: Groups, scope: Scope, style: Style) -> Drawn:
    said = "; ".join(
        f"{g.name}: {g.negative / (g.scored or 1):.0%} negative,"
        f" {g.positive / (g.scored or 1):.0%} positive"
        for g in found.groups
    )
    return charts.shares(found.groups, style, found.note), f"Share by label, {found.note}. {said}."


def _compared(found: Groups, scope: Scope, style: Style) -> Drawn:
    said = ", ".join(f"{g.name} {signed(g.net)}" for g in found.groups)
    chart = charts.compared(found.groups, style, found.note)
    return chart, f"Net polarity compared, {found.note}: {said}."


def _distribution(found: tuple[Sequence[Bin], int], scope: Scope, style: Style) -> Drawn:
    bins, count = found
    low = sum(b.final + b.provisional for b in bins if b.high <= -0.5)
    high = sum(b.final + b.provisional for b in bins if b.low >= 0.5)
    said = f"Of the newest {count:,} scored records {low:,} are below -0.5, {high:,} from 0.5 on."
    return charts.distribution(bins, count, style), said


def _calendar(days: Sequence[Day], scope: Scope, style: Style) -> Drawn:
    said = f"Net polarity of {len(days)} days, by week and weekday."
    return charts.calendar(days, style), said


def _agreement(texts: Sequence[tuple[str, str]], scope: Scope, style: Style) -> Drawn:
    counts = summary.compare_with_textblob(texts)
    same = sum(n for (model, other), n in counts.items() if model == other)
    said = f"The model and TextBlob have the same label on {same} of {len(texts)} texts."
    return charts.agreement(counts, style), said


CHARTS: Mapping[str, Entry] = {
    "trend": Entry("Net polarity by day, with volume", questions.days, _trend),
    "compared": Entry("Net polarity compared", _groups, _compared),
    "shares": Entry("Share by label", _groups, _shares),
    "distribution": Entry("Records by polarity", record_questions.distribution, _distribution),
    "calendar": Entry("Net polarity by week and weekday", questions.days, _calendar),
    "agreement": Entry(
        "What TextBlob says of the same texts", summary.scored_by_the_model, _agreement
    ),
}
