"""What a chart must say: read from its specification, which is what is drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from worker.insight import charts, drawing
from worker.insight.charts import DARK, LIGHT, Style
from worker.store.analytics.tallies import Bin, Day, Group, Scope

FIRST = date(2026, 3, 1)


def days(count: int) -> list[Day]:
    return [
        Day(day=FIRST + timedelta(days=n), records=10, positive=3, neutral=2, negative=5,
            net=-0.2, net_low=-0.5, net_high=0.1, mean_polarity=-0.1)
        for n in range(count)
    ]  # fmt: skip


def rows(part: Any) -> list[dict[str, Any]]:
    """Every row of data, wherever it stands in the specification."""
    if isinstance(part, dict):
        own = part.get("values")
        found = own if isinstance(own, list) else []
        return found + [row for value in part.values() for row in rows(value)]
    if isinstance(part, list):
        return [row for each in part for row in rows(each)]
    return []


def test_what_is_mostly_provisional_is_hollow_and_pale() -> None:
    few = replace(days(1)[0], provisional=1)
    found = rows(charts.trend([few], Scope(FIRST, FIRST)).to_dict())
    assert {row["mostly"] for row in found if "mostly" in row} == {"provisional"}
    volume = {row["state"]: row["records"] for row in found if "state" in row}
    assert volume == {"final": 9, "provisional": 1}
    fewer = replace(few, records=100, provisional=1)
    assert {row["mostly"] for row in rows(charts.calendar([fewer]).to_dict())} == {"final"}


def test_a_share_says_how_much_of_it_is_provisional() -> None:
    half = replace(GROUP[0], records=4, provisional=2)
    assert {row["group"] for row in rows(charts.shares([half]).to_dict())} == {
        "a (50% provisional)"
    }
    assert {row["group"] for row in rows(charts.shares(GROUP).to_dict())} == {"a"}


def test_a_long_period_is_drawn_by_weeks_that_lose_nothing() -> None:
    long = days(200)
    weeks = charts.by_week(long)
    assert sum(week.records for week in weeks) == 2_000
    assert all(week.day.weekday() == 0 for week in weeks)
    title = charts.trend(long, Scope(FIRST, FIRST + timedelta(days=200))).to_dict()["title"]
    assert "by week" in title["text"]


SCOPE = Scope(FIRST, FIRST + timedelta(days=40))
GROUP = [Group(name="a", records=3, positive=1, negative=2, net=-0.3, net_low=-0.8, net_high=0)]
DRAWN = [
    *(charts.trend(days(40), SCOPE), charts.shares(GROUP), charts.compared(GROUP)),
    *(charts.distribution([Bin(-1, -0.9, 3, 1)], 4), charts.calendar(days(40))),
    charts.agreement({("positive", "negative"): 2}),
]


def axes(part: Any) -> list[dict[str, Any]]:
    """Every axis of numbers that is not hidden, wherever it stands in the specification."""
    if isinstance(part, list):
        return [axis for each in part for axis in axes(each)]
    if not isinstance(part, dict):
        return []
    own = [
        channel
        for name, channel in part.get("encoding", {}).items()
        if name in ("x", "y") and channel.get("type") == "quantitative" and "title" in channel
    ]
    return own + [axis for value in part.values() for axis in axes(value)]


@pytest.mark.parametrize("chart", DRAWN)
def test_every_axis_of_numbers_says_its_unit(chart: charts.Chart) -> None:
    units = ("(-1 to 1)", "(-1 negative to 1 positive)", "records", "share of scored records")
    for axis in axes(chart.to_dict()):
        assert any(unit in axis["title"] for unit in units), axis
    svg = drawing.svg(chart)
    assert "<script" not in svg
    assert "http" not in svg.replace("http://www.w3.org", "")
    assert "undefined" not in svg
    assert "NaN" not in svg


def test_nothing_to_draw_is_drawn() -> None:
    scope = Scope(FIRST, FIRST + timedelta(days=7))
    for chart in (
        *(charts.trend([], scope), charts.shares([]), charts.compared([])),
        *(charts.distribution([], 0), charts.calendar([]), charts.agreement({})),
    ):
        assert drawing.svg(chart).startswith("<svg")


_IN_A_ZONE = """
from datetime import date
from tests.unit.insight.test_charts import SCOPE, days
from worker.insight import charts, drawing
print(drawing.svg(charts.trend(days(3), SCOPE)) + drawing.svg(charts.calendar(days(3))))
"""


def test_days_are_the_same_in_every_zone() -> None:
    drawn = [
        subprocess.run(
            [sys.executable, "-c", _IN_A_ZONE],
            env=os.environ | {"TZ": zone},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone in ("Pacific/Kiritimati", "Etc/GMT+12")
    ]
    assert drawn[0].count("<svg") == 2
    assert drawn[0] == drawn[1]


def _luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("style", [LIGHT, DARK])
def test_colours_stand_out_from_their_paper(style: Style) -> None:
    for colour in style[:3]:
        light, dark = sorted((_luminance(colour), _luminance(style.paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


def test_a_thin_day_has_no_point_and_that_is_said() -> None:
    """Three records would stand there like three hundred, and stretch the axis to -1."""
    full = [replace(day, records=300, negative=150, positive=90, neutral=60) for day in days(5)]
    thin = replace(days(6)[5], records=3, positive=0, neutral=0, negative=3, net=-1.0)
    drawn = charts.trend([*full, thin], Scope(FIRST, FIRST + timedelta(days=6))).to_dict()
    nets = [row["net"] for row in rows(drawn) if "net" in row]
    assert -1.0 not in nets
    assert "1 day has too few records for a point" in str(drawn["title"])
    assert sum(row["records"] for row in rows(drawn) if "state" in row) == 1503
    assert "too few" not in str(charts.trend(full, Scope(FIRST, FIRST)).to_dict()["title"])
