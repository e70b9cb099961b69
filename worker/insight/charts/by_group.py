"""Charts of groups: the values of a tag, or sources, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from worker.insight.charts.style import (
    LABELS,
    LIGHT,
    PALE,
    Chart,
    Style,
    axis_title,
    data,
    filled,
    mostly,
    names,
    titled,
)
from worker.store.analytics.tallies import Group


def shares(groups: Sequence[Group], style: Style = LIGHT, note: str = "") -> Chart:
    """Share by label, a bar a group, in their order; a group that is provisional in part says how
    much of it. The numbers stand in the bars: in grey print too it is plain which is which."""
    rows = [
        {"group": _marked(g), "label": label, "rank": rank, "from": start, "to": start + share,
         "share": share, "middle": start + share / 2}
        for g in groups
        for rank, label, start, share in _stacked(g)
    ]  # fmt: skip
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("group:N", title=None, sort=[_marked(g) for g in groups], axis=names(style))
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
        width=style.width, height=alt.Step(24), title=titled("Share by label", note)
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
            "mostly": mostly(g),
        }
        for g in groups
        if g.net is not None
    ]
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("group:N", title=None, sort=[str(row["group"]) for row in rows], axis=names(style)),
        opacity=alt.condition("datum.few", alt.value(PALE), alt.value(1)),
    )
    interval = base.mark_rule(strokeWidth=2).encode(
        x=alt.X(
            "low:Q",
            title=axis_title(
                style, "net polarity (-1 to 1)", ", 95 % interval; scored records in brackets"
            ),
            scale=alt.Scale(domain=[-1, 1]),
        ),
        x2="high:Q",
    )
    points = base.mark_point(size=60, stroke=style.positive).encode(
        x="net:Q",
        fill=filled(style),
    )
    zero = alt.Chart(data([{}])).mark_rule(strokeDash=[2, 3]).encode(x=alt.datum(0))
    return alt.layer(zero, interval, points).properties(
        width=style.width, height=alt.Step(24), title=titled("Compared", note)
    )


def _stacked(group: Group) -> Iterator[tuple[int, str, float, float]]:
    """(rank, label, where its part of the bar begins, how long it is), in shares of 1."""
    start = 0.0
    for rank, label in enumerate(LABELS):
        share = getattr(group, label) / (group.scored or 1)
        yield rank, label, start, share
        start += share


def _marked(group: Group) -> str:
    share = f" ({group.provisional / group.records:.0%} provisional)" if group.provisional else ""
    return group.name + share
