"""A chart as a picture: SVG, PNG or PDF, drawn in this process without a browser or a network."""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

from worker.analysis.charts import DARK, LIGHT, Palette

VEGA_LITE = "6.4"
"""What Altair 6 writes; the converter holds several."""

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is the converter's own, and as wide as the others: nothing is cut off."""

_GRID = {LIGHT: "#d6d6dc", DARK: "#44444c"}


def svg(chart: alt.TopLevelMixin, colours: Palette = LIGHT) -> str:
    """Without scripts or references, and without a background: it takes that of the page.

    Holds the interpreter's lock meanwhile (50 to 200 ms): a server draws in a process of its own.
    """
    return vl_convert.vegalite_to_svg(
        chart.to_dict(), vl_version=VEGA_LITE, config=_config(colours), allowed_base_urls=[]
    )


def _config(colours: Palette) -> dict[str, Any]:
    ink, grid = colours.ink, _GRID[colours]
    words = {"labelColor": ink, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 11}
    plain = {**words, "titleFontWeight": "normal"}
    lines = {"domainColor": grid, "gridColor": grid, "tickColor": grid}
    title = {"color": ink, "subtitleColor": ink, "fontSize": 14, "subtitleFontSize": 11}
    return {
        "aria": False,  # an <img> has its alt; and these would say days in the machine's own zone
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": plain | lines,
        "legend": plain,
        "title": title | {"offset": 12},
        "rule": {"color": ink},
    }
