"""How charts look: colours, sizes, and the pieces that every chart is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from worker.store.analytics.tallies import Tally

Chart = alt.TopLevelMixin

LABELS = ("negative", "neutral", "positive")

STATES = ("final", "provisional")


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

PALE = 0.35
"""How strong provisional data is drawn."""


def data(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Plain rows: pandas is not needed for a chart. (Altair leaves this one call untyped.)"""
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def titled(title: str, *subtitle: str) -> alt.TitleParams:
    """Each part of the subtitle is a line."""
    return alt.TitleParams(title, subtitle=list(filter(None, subtitle)), anchor="start")


def names(style: Style) -> alt.Axis:
    """Names of groups, cut where they would push the chart out of the picture."""
    return alt.Axis(labelLimit=125 if style.is_narrow else 220)


def axis_title(style: Style, short: str, rest: str) -> str:
    return short if style.is_narrow else short + rest


def mostly(tally: Tally) -> str:
    return "provisional" if tally.provisional >= max(1, tally.records / 10) else "final"


def filled(style: Style) -> Any:
    return alt.condition(
        "datum.mostly == 'final'", alt.value(style.positive), alt.value(style.paper)
    )


def strength(rows: Sequence[Mapping[str, Any]]) -> alt.Opacity:
    """Provisional is pale; the legend says so where there is any."""
    is_mixed = any(row["state"] == "provisional" for row in rows)
    return alt.Opacity(
        "state:N",
        title=None,
        scale=alt.Scale(domain=STATES, range=[1, PALE]),
        legend=alt.Legend(orient="bottom") if is_mixed else None,
    )
