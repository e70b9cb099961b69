"""Charts, each one Altair specification: the report, the page and notebooks draw the same.

Pure: rows in, a chart out. Orange is negative, blue positive; what is provisional is pale, or
hollow, and says so in the legend. Days are UTC, whatever the machine's zone. `named` lists them.
"""

from worker.insight.charts.by_group import compared, shares
from worker.insight.charts.of_records import agreement, distribution
from worker.insight.charts.over_time import by_week, calendar, trend
from worker.insight.charts.style import DARK, LABELS, LIGHT, PHONE, Chart, Style

__all__ = [
    "DARK",
    "LABELS",
    "LIGHT",
    "PHONE",
    "Chart",
    "Style",
    "agreement",
    "by_week",
    "calendar",
    "compared",
    "distribution",
    "shares",
    "trend",
]
