"""Charts, each one Altair specification: the report, the page and notebooks draw the same.

Pure: rows in, a chart out. Orange is negative, blue positive; what is provisional is pale, or
hollow, and says so in the legend. Days are UTC, whatever the machine's zone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any, NamedTuple

import altair as alt

from worker import words
from worker.insight.summary import CANNOT_SAY, Agreement
from worker.store.analytics.questions import Bin, Day, Group, Scope, Tally, total

Chart = alt.TopLevelMixin

LABELS = ("negative", "neutral", "positive")


class Style(NamedTuple):
    """How a chart is drawn. The colours stand out from their paper by 3:1 at least (WCAG 2.2,
    1.4.11), differ for each kind of colour vision, and keep their order of lightness in grey
    print."""

    negative: str
    neutral: str
    positive: str
    paper: str
    ink: str
    grid: str
    width: int = 640
    """Pixels between the axes."""

    @property
    def is_narrow(self) -> bool:
        return self.width < 400


LIGHT = Style("#b35806", "#8c8c8c", "#08519c", "#ffffff", "#222226", "#d6d6dc")
DARK = Style("#e08214", "#757575", "#a6cee3", "#121214", "#e4e4e8", "#44444c")

PHONE = 215
"""The width for a screen of 360 pixels."""

THIN = 0.1
"""A day with fewer scored records than this part of the busiest day's has no point: three records
would stretch the axis, and stand there like three thousand."""

MANY_DAYS = 100
PALE = 0.35
"""How strong provisional data is drawn."""

_STATES = ("final", "provisional")


def trend(days: Sequence[Day], scope: Scope, style: Style = LIGHT) -> Chart:
    """Net polarity by day (by week, in more than `MANY_DAYS` days) with its 95 % band, and volume
    below. A point is hollow where a tenth or more is provisional."""
    weekly = scope.days > MANY_DAYS
    points_in_time = by_week(days) if weekly else days
    x = _by_time(scope, weekly=weekly, axis=None)
    solid = _solid(points_in_time)
    base = alt.Chart(_data([_day(day) for day in solid])).encode(x=x)
    zero = alt.Chart(_data([{}])).mark_rule(strokeDash=[2, 3]).encode(y=alt.datum(0))
    band = base.mark_area(opacity=0.25, color=style.positive, clip=True).encode(
        y=alt.Y("low:Q", title="net polarity (-1 to 1)", scale=_around(solid)), y2="high:Q"
    )
    line = base.mark_line(color=style.positive).encode(y="net:Q")
    points = base.mark_point(size=36, opacity=1, stroke=style.positive).encode(
        y="net:Q",
        fill=_filled(style),
        tooltip=[alt.Tooltip("day:T"), alt.Tooltip("net:Q", format="+.2f"), "records:Q"],
    )
    upper = alt.layer(zero, band, line, points).properties(width=style.width, height=180)
    volumes = [part for day in points_in_time for part in _volume(day)]
    volume = (
        alt.Chart(_data(volumes))
        .mark_bar(color=style.positive)
        .encode(
            x=_by_time(
                scope,
                weekly=weekly,
                axis=alt.Axis(
                    format="%-d %b" if style.is_narrow else "%-d %b %Y",
                    labelOverlap=True,
                    title=None,
                    tickCount=4 if style.is_narrow else 8,
                ),
            ),
            y=alt.Y("records:Q", title="records", axis=alt.Axis(tickCount=3, format="~s")),
            opacity=_strength(volumes),
            order=alt.Order("state:N"),
        )
        .properties(width=style.width, height=70)
    )
    return alt.vconcat(upper, volume, spacing=6).properties(
        title=_titled(
            f"Net polarity by {'week' if weekly else 'day'}",
            *(
                ("share of positive less share of", "negative records, with 95 % interval")
                if style.is_narrow
                else (
                    (
                        "share of positive less share of negative records;"
                        " the band is its 95 % interval"
                    ),
                )
            ),
            *_left_out(len(points_in_time) - len(solid), "week" if weekly else "day"),
        )
    )


def _left_out(thin: int, what: str) -> tuple[str, ...]:
    """The line of a title that says what has no point."""
    if not thin:
        return ()
    without = words.many(thin, f"{what} has", f"{what}s have")
    return (f"{without} too few records for a point",)


def by_week(days: Sequence[Day]) -> list[Day]:
    """Days added up by their week, which is named by its Monday."""
    weeks: dict[date, list[Day]] = {}
    for day in days:
        weeks.setdefault(day.day - timedelta(days=day.day.weekday()), []).append(day)
    return [Day(day=monday, **asdict(total(found))) for monday, found in sorted(weeks.items())]


def shares(groups: Sequence[Group], style: Style = LIGHT, note: str = "") -> Chart:
    """Share by label, a bar a group, in their order; a group that is provisional in part says how
    much of it. The numbers stand in the bars: in grey print too it is plain which is which."""
    rows = [
        {"group": _marked(g), "label": label, "rank": rank, "from": start, "to": start + share,
         "share": share, "middle": start + share / 2}
        for g in groups
        for rank, label, start, share in _stacked(g)
    ]  # fmt: skip
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("group:N", title=None, sort=[_marked(g) for g in groups], axis=_names(style))
    )
    bars = base.mark_bar(stroke=style.paper, strokeWidth=2).encode(
        x=alt.X(
            "from:Q",
            title="share of scored records: " + ", ".join(LABELS),
            axis=alt.Axis(format="%", tickCount=5),
            scale=alt.Scale(domain=[0, 1]),
        ),
        x2="to:Q",
        color=alt.Color(
            "label:N",
            scale=alt.Scale(domain=LABELS, range=style[:3]),
            title=None,
            sort=LABELS,
            legend=alt.Legend(orient="bottom"),
        ),
    )
    numbers = (
        base.mark_text(fontSize=10)
        .encode(
            x="middle:Q",
            text=alt.Text("share:Q", format=".0%"),
            color=alt.condition(  # 4.5:1 on each of them
                "datum.label == 'neutral'", alt.value("#000000"), alt.value(style.paper)
            ),
        )
        .transform_filter(f"datum.share >= {0.15 if style.is_narrow else 0.06}")
    )
    return alt.layer(bars, numbers).properties(
        width=style.width, height=alt.Step(24), title=_titled("Share by label", note)
    )


def compared(groups: Sequence[Group], style: Style = LIGHT, note: str = "") -> Chart:
    """Net polarity of each group with its 95 % interval, in their order; a group of which a tenth
    or more is provisional is a hollow point, one of few records is pale."""
    rows = [
        {
            "group": f"{g.name} ({g.scored:,}{', few' if g.is_few else ''})",
            "few": g.is_few,
            "net": g.net,
            "low": g.net_low,
            "high": g.net_high,
            "mostly": _mostly(g),
        }
        for g in groups
        if g.net is not None
    ]
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y(
            "group:N", title=None, sort=[str(row["group"]) for row in rows], axis=_names(style)
        ),
        opacity=alt.condition("datum.few", alt.value(PALE), alt.value(1)),
    )
    interval = base.mark_rule(strokeWidth=2).encode(
        x=alt.X(
            "low:Q",
            title=_axis_title(
                style, "net polarity (-1 to 1)", ", 95 % interval; scored records in brackets"
            ),
            scale=alt.Scale(domain=[-1, 1]),
        ),
        x2="high:Q",
    )
    points = base.mark_point(size=60, stroke=style.positive).encode(
        x="net:Q",
        fill=_filled(style),
    )
    zero = alt.Chart(_data([{}])).mark_rule(strokeDash=[2, 3]).encode(x=alt.datum(0))
    return alt.layer(zero, interval, points).properties(
        width=style.width, height=alt.Step(24), title=_titled("Compared", note)
    )


def distribution(bins: Sequence[Bin], count: int, style: Style = LIGHT) -> Chart:
    """How many records have which polarity."""
    rows = [
        {"low": b.low, "high": b.high, "state": state, "records": getattr(b, state)}
        for b in bins
        for state in _STATES
        if getattr(b, state)
    ]
    drawn: Chart = (
        alt.Chart(_data(rows))
        .mark_bar(color=style.positive)
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
            opacity=_strength(rows),
            order=alt.Order("state:N"),
        )
        .properties(
            width=style.width,
            height=160,
            title=_titled("Distribution", f"of the newest {count:,} scored records"),
        )
    )
    return drawn


def calendar(days: Sequence[Day], style: Style = LIGHT) -> Chart:
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
                range=[style.negative, style.paper, style.positive],
                interpolate="rgb",
            ),
        )
    )
    dots = base.mark_point(filled=True, size=14, opacity=1).transform_filter(
        "datum.mostly == 'provisional'"
    )
    return alt.layer(squares, dots.encode(color=alt.value(style.ink))).properties(
        width=style.width,
        height=alt.Step(18),
        title=_titled("Calendar", "week and weekday; a dot: mostly provisional"),
    )


def agreement(counts: Agreement, style: Style = LIGHT) -> Chart:
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
            scale=alt.Scale(domain=[0, 1], range=[style.paper, style.positive], interpolate="rgb"),
            legend=alt.Legend(format="%"),
        )
    )
    words = base.mark_text().encode(
        text="records:Q",
        color=alt.condition("datum.share > 0.5", alt.value(style.paper), alt.value(style.ink)),
    )
    agreed = sum(counts.get((label, label), 0) for label in LABELS)
    everything = sum(counts.values())
    said = f"same label on {agreed:,} of the newest {everything:,}" if everything else "no records"
    return alt.layer(squares, words).properties(
        width=style.width * 0.7, height=alt.Step(36), title=_titled("The model and TextBlob", said)
    )


def _stacked(group: Group) -> Iterator[tuple[int, str, float, float]]:
    """(rank, label, where its part of the bar begins, how long it is), in shares of 1."""
    start = 0.0
    for rank, label in enumerate(LABELS):
        share = getattr(group, label) / (group.scored or 1)
        yield rank, label, start, share
        start += share


def _names(style: Style) -> alt.Axis:
    """Names of groups, cut where they would push the chart out of the picture."""
    return alt.Axis(labelLimit=125 if style.is_narrow else 220)


def _axis_title(style: Style, short: str, rest: str) -> str:
    return short if style.is_narrow else short + rest


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


def _solid(days: Sequence[Day]) -> list[Day]:
    """Days with records enough for a point: see `THIN`."""
    busiest = max((day.scored for day in days), default=0)
    return [day for day in days if day.scored >= THIN * busiest]


def _around(days: Sequence[Day]) -> alt.Scale:
    """No more of the axis than zero, the points and their intervals need."""
    ends = [end for day in days for end in (day.net_low, day.net_high, day.net) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    return alt.Scale(domain=[max(-1.0, low - 0.05), min(1.0, high + 0.05)])


def _filled(style: Style) -> Any:
    return alt.condition(
        "datum.mostly == 'final'", alt.value(style.positive), alt.value(style.paper)
    )


def _strength(rows: Sequence[Mapping[str, Any]]) -> alt.Opacity:
    """Provisional is pale; the legend says so where there is any."""
    is_mixed = any(row["state"] == "provisional" for row in rows)
    return alt.Opacity(
        "state:N",
        title=None,
        scale=alt.Scale(domain=_STATES, range=[1, PALE]),
        legend=alt.Legend(orient="bottom") if is_mixed else None,
    )


def _titled(title: str, *subtitle: str) -> alt.TitleParams:
    """Each part of the subtitle is a line."""
    return alt.TitleParams(title, subtitle=list(filter(None, subtitle)), anchor="start")
