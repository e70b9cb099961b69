"""Charts over time: the trend, and the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import altair as alt

from worker import words
from worker.insight.charts.style import (
    LIGHT,
    STATES,
    Chart,
    Style,
    data,
    filled,
    mostly,
    strength,
    titled,
)
from worker.store.analytics.questions import total
from worker.store.analytics.tallies import Day, Scope

THIN = 0.1
"""A day with fewer scored records than this part of the busiest day's has no point: three records
would stretch the axis, and stand there like three thousand."""

MANY_DAYS = 100

WIDE_SUBTITLE = ("share of positive less share of negative records; the band is its 95 % interval",)
NARROW_SUBTITLE = ("share of positive less share of", "negative records, with 95 % interval")


def trend(days: Sequence[Day], scope: Scope, style: Style = LIGHT) -> Chart:
    """Net polarity by day (by week, in more than `MANY_DAYS` days) with its 95 % band, and volume
    below. A point is hollow where a tenth or more is provisional."""
    weekly = scope.days > MANY_DAYS
    bars = by_week(days) if weekly else days
    points = _solid(bars)
    return alt.vconcat(
        _line(points, _by_time(scope, weekly=weekly, axis=None), style),
        _volumes(bars, _by_time(scope, weekly=weekly, axis=_dates(style)), style),
        spacing=6,
    ).properties(
        title=titled(
            f"Net polarity by {'week' if weekly else 'day'}",
            *(NARROW_SUBTITLE if style.is_narrow else WIDE_SUBTITLE),
            *_left_out(len(bars) - len(points), "week" if weekly else "day"),
        )
    )


def _line(points: Sequence[Day], x: alt.X, style: Style) -> alt.LayerChart | alt.FacetChart:
    base = alt.Chart(data([_day(day) for day in points])).encode(x=x)
    zero = alt.Chart(data([{}])).mark_rule(strokeDash=[2, 3]).encode(y=alt.datum(0))
    band = base.mark_area(opacity=0.25, color=style.positive, clip=True).encode(
        y=alt.Y("low:Q", title="net polarity (-1 to 1)", scale=_around(points)), y2="high:Q"
    )
    line = base.mark_line(color=style.positive).encode(y="net:Q")
    marks = base.mark_point(size=36, opacity=1, stroke=style.positive).encode(
        y="net:Q",
        fill=filled(style),
        tooltip=[alt.Tooltip("day:T"), alt.Tooltip("net:Q", format="+.2f"), "records:Q"],
    )
    return alt.layer(zero, band, line, marks).properties(width=style.width, height=180)


def _volumes(days: Sequence[Day], x: alt.X, style: Style) -> alt.Chart:
    volumes = [part for day in days for part in _volume(day)]
    drawn: alt.Chart = (
        alt.Chart(data(volumes))
        .mark_bar(color=style.positive)
        .encode(
            x=x,
            y=alt.Y("records:Q", title="records", axis=alt.Axis(tickCount=3, format="~s")),
            opacity=strength(volumes),
            order=alt.Order("state:N"),
        )
        .properties(width=style.width, height=70)
    )
    return drawn


def _dates(style: Style) -> alt.Axis:
    return alt.Axis(
        format="%-d %b" if style.is_narrow else "%-d %b %Y",
        labelOverlap=True,
        title=None,
        tickCount=4 if style.is_narrow else 8,
    )


def calendar(days: Sequence[Day], style: Style = LIGHT) -> Chart:
    """Net polarity by weekday and week; a dot where a tenth or more is provisional."""
    most = max((abs(day.net or 0.0) for day in days), default=0.0) or 1.0
    base = alt.Chart(data([_day(day) for day in days])).encode(
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
        title=titled("Calendar", "week and weekday; a dot: mostly provisional"),
    )


def by_week(days: Sequence[Day]) -> list[Day]:
    """Days added up by their week, which is named by its Monday."""
    weeks: dict[date, list[Day]] = {}
    for day in days:
        weeks.setdefault(day.day - timedelta(days=day.day.weekday()), []).append(day)
    return [Day(day=monday, **asdict(total(found))) for monday, found in sorted(weeks.items())]


def _left_out(thin: int, what: str) -> tuple[str, ...]:
    """The line of a title that says what has no point."""
    if not thin:
        return ()
    without = words.many(thin, f"{what} has", f"{what}s have")
    return (f"{without} too few records for a point",)


def _day(day: Day) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(),
        "net": day.net,
        "low": day.net_low,
        "high": day.net_high,
        "records": day.records,
        "mostly": mostly(day),
    }


def _volume(day: Day) -> list[dict[str, Any]]:
    counts = (day.records - day.provisional, day.provisional)
    return [
        {"day": day.day.isoformat(), "state": state, "records": n}
        for state, n in zip(STATES, counts, strict=True)
        if n
    ]


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
