"""A chart as a picture: SVG, PNG or PDF, drawn in this process without a browser or a network."""

from __future__ import annotations

import re
from typing import Any

import altair as alt
import vl_convert

from worker.insight.charts import LIGHT, Style

VEGA_LITE = "6.4"
"""What Altair 6 writes; the converter holds several."""

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is the converter's own, and as wide as the others: nothing is cut off."""

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""https://www.w3.org/TR/xml/#charsets: at one of these the converter would end the process."""


def svg(chart: alt.TopLevelMixin, style: Style = LIGHT) -> str:
    """Without scripts or references, and without a background: it takes that of the page.

    Holds the interpreter's lock meanwhile (50 to 200 ms): a server draws in a process of its own.
    """
    return vl_convert.vegalite_to_svg(
        _storable(chart.to_dict()),
        vl_version=VEGA_LITE,
        config=_config(style),
        allowed_base_urls=[],
    )


def _storable(part: Any) -> Any:
    """The same with names and texts that an SVG can hold."""
    if isinstance(part, str):
        return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", part)
    if isinstance(part, list):
        return [_storable(each) for each in part]
    if isinstance(part, dict):
        return {_storable(key): _storable(value) for key, value in part.items()}
    return part


def _config(style: Style) -> dict[str, Any]:
    ink, grid = style.ink, style.grid
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
