"""Charts, each one Altair specification: the report, the page and notebooks draw the same.

Pure: rows in, a chart out. Orange is negative, blue positive; what is provisional is pale, or
hollow, and says so in the legend. Days are UTC, whatever the machine's zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any, NamedTuple

import altair as alt

from worker.analysis.summary import CANNOT_SAY, Agreement
from worker.store.questions import Bin, Day, Group, Scope, Tally, total

Chart = alt.TopLevelMixin

LABELS = ("negative", "neutral", "positive")


class Palette(NamedTuple):
    """Colours that stand out from their paper by 3:1 at least (WCAG 2.2, 1.4.11), differ for each
    kind of colour vision, and keep their order of lightness in grey print."""

    negative: str
    neutral: str
    positive: str
    paper: str
    ink: str


LIGHT = Palette("#b35806", "#8c8c8c", "#08519c", "#ffffff", "#222226")
DARK = Palette("#e08214", "#757575", "#a6cee3", "#121214", "#e4e4e8")

WIDTH = 640
MANY_DAYS = 100
PALE = 0.35
"""How strong provisional data is drawn."""

_STATES = ("final", "provisional")


def trend(days: Sequence[Day], scope: Scope, colours: Palette = LIGHT) -> Chart:
    """Net polarity by day (by week, in more than `MANY_DAYS` days) with its 95 % band, and volume
    below. A point is hollow where a tenth or more is provisional."""
    weekly = scope.days > MANY_DAYS
    points_in_time = by_week(days) if weekly else days
    x = _by_time(scope, weekly=weekly, axis=None)
    base = alt.Chart(_data([_day(day) for day in points_in_time])).encode(x=x)
    zero = alt.Chart(_data([{}])).mark_rule(strokeDash=[2, 3]).encode(y=alt.datum(0))
    band = base.mark_area(opacity=0.25, color=colours.positive).encode(
        y=alt.Y("low:Q", title="net polarity (-1 to 1)", scale=_around(points_in_time)), y2="high:Q"
    )
    line = base.mark_line(color=colours.positive).encode(y="net:Q")
    points = base.mark_point(size=36, opacity=1, stroke=colours.positive).encode(
        y="net:Q",
        fill=_filled(colours),
        tooltip=[alt.Tooltip("day:T"), alt.Tooltip("net:Q", format="+.2f"), "records:Q"],
    )
    upper = alt.layer(zero, band, line, points).properties(width=WIDTH, height=180)
    volume = (
        alt.Chart(_data([part for day in points_in_time for part in _volume(day)]))
        .mark_bar(color=colours.positive)
        .encode(
            x=_by_time(
                scope,
                weekly=weekly,
                axis=alt.Axis(format="%-d %b %Y", labelOverlap=True, title=None, tickCount=8),
            ),
            y=alt.Y("records:Q", title="records", axis=alt.Axis(tickCount=3, format="~s")),
            opacity=_strength(),
            order=alt.Order("state:N"),
        )
        .properties(width=WIDTH, height=70)
    )
    return alt.vconcat(upper, volume, spacing=6).properties(
        title=_titled(
            f"Net polarity by {'week' if weekly else 'day'}",
            "share of positive less share of negative records; the band is its 95 % interval",
        )
    )


def by_week(days: Sequence[Day]) -> list[Day]:
    """Days added up by their week, which is named by its Monday."""
    weeks: dict[date, list[Day]] = {}
    for day in days:
        weeks.setdefault(day.day - timedelta(days=day.day.weekday()), []).append(day)
    return [Day(day=monday, **asdict(total(found))) for monday, found in sorted(weeks.items())]


def shares(groups: Sequence[Group], colours: Palette = LIGHT) -> Chart:
    """Share by label, a bar a group; a group that is provisional in part says how much of it."""
    rows = [
        {"group": _marked(g), "label": label, "records": getattr(g, label), "rank": rank}
        for g in groups
        for rank, label in enumerate(LABELS)
    ]
    drawn: Chart = (
        alt.Chart(_data(rows))
        .mark_bar(stroke=colours.paper)
        .encode(
            y=alt.Y("group:N", title=None, sort=[_marked(g) for g in groups]),
            x=alt.X(
                "records:Q",
                stack="normalize",
                title="share of scored records",
                axis=alt.Axis(format="%"),
            ),
            color=alt.Color(
                "label:N",
                scale=alt.Scale(domain=LABELS, range=colours[:3]),
                title=None,
                sort=LABELS,
            ),
            order=alt.Order("rank:Q"),
        )
        .properties(width=WIDTH, height=alt.Step(24), title=_titled("Share by label"))
    )
    return drawn


def compared(groups: Sequence[Group], colours: Palette = LIGHT) -> Chart:
    """Net polarity of each group with its 95 % interval; a group of which a tenth or more is
    provisional is a hollow point."""
    rows = [
        {
            "group": f"{g.name} ({g.scored:,})",
            "net": g.net,
            "low": g.net_low,
            "high": g.net_high,
            "mostly": _mostly(g),
        }
        for g in sorted(groups, key=lambda g: g.net or 0.0)
        if g.net is not None
    ]
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("group:N", title=None, sort=[str(row["group"]) for row in rows])
    )
    interval = base.mark_rule(strokeWidth=2).encode(
        x=alt.X(
            "low:Q",
            title="net polarity (-1 to 1), 95 % interval; records in brackets",
            scale=alt.Scale(domain=[-1, 1]),
        ),
        x2="high:Q",
    )
    points = base.mark_point(size=60, opacity=1, stroke=colours.positive).encode(
        x="net:Q",
        fill=_filled(colours),
    )
    zero = alt.Chart(_data([{}])).mark_rule(strokeDash=[2, 3]).encode(x=alt.datum(0))
    return alt.layer(zero, interval, points).properties(
        width=WIDTH, height=alt.Step(24), title=_titled("Compared")
    )


def distribution(bins: Sequence[Bin], count: int, colours: Palette = LIGHT) -> Chart:
    """How many records have which polarity."""
    rows = [
        {"low": b.low, "high": b.high, "state": state, "records": getattr(b, state)}
        for b in bins
        for state in _STATES
    ]
    drawn: Chart = (
        alt.Chart(_data(rows))
        .mark_bar(color=colours.positive)
        .encode(
            x=alt.X(
                "low:Q",
                bin=alt.BinParams(binned=True, step=0.1),
                title="polarity (-1 negative to 1 positive)",
                scale=alt.Scale(domain=[-1, 1]),
                axis=alt.Axis(tickCount=11),
            ),
            x2="high:Q",
            y=alt.Y("records:Q", title="records", stack="zero"),
            opacity=_strength(),
            order=alt.Order("state:N"),
        )
        .properties(
            width=WIDTH,
            height=160,
            title=_titled("Distribution", f"of the newest {count:,} scored records"),
        )
    )
    return drawn


def calendar(days: Sequence[Day], colours: Palette = LIGHT) -> Chart:
    """Net polarity by weekday and week; a dot where a tenth or more is provisional."""
    most = max((abs(day.net or 0.0) for day in days), default=0.0) or 1.0
    base = alt.Chart(_data([_day(day) for day in days])).encode(
        x=alt.X(
            "utcyearweek(day):O",
            title=None,
            axis=alt.Axis(format="%-d %b %Y", labelOverlap=True, labelAngle=0),
        ),
        y=alt.Y("utcday(day):O", title=None),
    )
    squares = base.mark_rect().encode(
        color=alt.Color(
            "net:Q",
            title="net polarity",
            scale=alt.Scale(
                domain=[-most, 0, most],
                range=[colours.negative, colours.paper, colours.positive],
                interpolate="rgb",
            ),
        )
    )
    dots = base.mark_point(filled=True, size=14, opacity=1).transform_filter(
        "datum.mostly == 'provisional'"
    )
    return alt.layer(squares, dots.encode(color=alt.value(colours.ink))).properties(
        width=WIDTH,
        height=alt.Step(18),
        title=_titled("Calendar", "week and weekday; a dot: mostly provisional"),
    )


def agreement(counts: Agreement, colours: Palette = LIGHT) -> Chart:
    """What the model said, and what TextBlob says of the same texts: counts, and shares by row."""
    totals = {label: sum(n for (m, _), n in counts.items() if m == label) for label in LABELS}
    rows = [
        {
            "model": model,
            "textblob": other,
            "records": counts.get((model, other), 0),
            "share": counts.get((model, other), 0) / totals[model] if totals[model] else 0,
        }
        for model in LABELS
        for other in (*LABELS, CANNOT_SAY)
    ]
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("textblob:N", sort=[*LABELS, CANNOT_SAY], title="TextBlob says",
                axis=alt.Axis(labelAngle=0)),
        y=alt.Y("model:N", sort=LABELS, title="the model says"),
    )  # fmt: skip
    squares = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title="share of the row",
            scale=alt.Scale(
                domain=[0, 1], range=[colours.paper, colours.positive], interpolate="rgb"
            ),
            legend=alt.Legend(format="%"),
        )
    )
    words = base.mark_text().encode(
        text="records:Q",
        color=alt.condition("datum.share > 0.5", alt.value(colours.paper), alt.value(colours.ink)),
    )
    agreed = sum(counts.get((label, label), 0) for label in LABELS)
    everything = sum(counts.values())
    said = f"same label on {agreed:,} of the newest {everything:,}" if everything else "no records"
    return alt.layer(squares, words).properties(
        width=WIDTH * 0.7, height=alt.Step(36), title=_titled("The model and TextBlob", said)
    )


def _data(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Plain rows: pandas is not needed for a chart. (Altair leaves this one call untyped.)"""
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def _day(day: Day) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(),
        "net": day.net,
        "low": day.net_low,
        "high": day.net_high,
        "records": day.records,
        "mostly": _mostly(day),
    }


def _volume(day: Day) -> list[dict[str, Any]]:
    counts = (day.records - day.provisional, day.provisional)
    return [
        {"day": day.day.isoformat(), "state": state, "records": n}
        for state, n in zip(_STATES, counts, strict=True)
        if n
    ]


def _marked(group: Group) -> str:
    share = f" ({group.provisional / group.records:.0%} provisional)" if group.provisional else ""
    return group.name + share


def _mostly(tally: Tally) -> str:
    return "provisional" if tally.provisional >= max(1, tally.records / 10) else "final"


def _by_time(scope: Scope, *, weekly: bool, axis: alt.Axis | None) -> alt.X:
    first = scope.since - timedelta(days=scope.since.weekday() if weekly else 0)
    domain = [first.isoformat(), scope.until.isoformat()]
    # The middle of the day: where its bar below stands too.
    return alt.X(
        "day:T",
        timeUnit=alt.Undefined if weekly else "utcyearmonthdate",
        bandPosition=0.5,
        axis=axis,
        scale=alt.Scale(type="utc", domain=domain),
    )


def _around(days: Sequence[Day]) -> alt.Scale:
    """Zero is always in the picture; beyond it no more of the axis than there is to see."""
    ends = [end for day in days for end in (day.net_low, day.net_high) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    return alt.Scale(domain=[max(-1.0, low - 0.05), min(1.0, high + 0.05)])


def _filled(colours: Palette) -> Any:
    return alt.condition(
        "datum.mostly == 'final'", alt.value(colours.positive), alt.value(colours.paper)
    )


def _strength() -> alt.Opacity:
    return alt.Opacity(
        "state:N",
        title=None,
        scale=alt.Scale(domain=_STATES, range=[1, PALE]),
        legend=alt.Legend(orient="right"),
    )


def _titled(title: str, subtitle: str = "") -> alt.TitleParams:
    return alt.TitleParams(title, subtitle=subtitle, anchor="start")
