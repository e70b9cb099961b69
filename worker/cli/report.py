"""The report on a terminal: what an analyst looks at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from worker.cli.output import cell
from worker.store import reading
from worker.store.reading import Row, ScoreFilter

BAR = 30
STYLES = {"positive": "green", "neutral": "bright_black", "negative": "red"}
MAX_DAYS = 45


def summarise(engine: Engine, source: str | None) -> dict[str, Any]:
    """Everything the report shows, as plain values."""
    by_label = [row for row in reading.labels(engine) if source in (None, row["source"])]
    total = sum(row["records"] for row in by_label)
    scored = sum(row["records"] for row in by_label if row["label"])
    worst = ScoreFilter(source=source, order="most-negative", limit=5)
    return {
        "records": total,
        "scored": scored,
        "skipped": sum(row["skipped"] for row in by_label),
        "provisional": sum(row["provisional"] for row in by_label),
        "labels": _by(by_label, "label"),
        "sources": {
            name: _by([row for row in by_label if row["source"] == name], "label")
            for name in sorted({row["source"] for row in by_label})
        },
        "days": [dict(row) for row in reading.daily(engine, source=source)],
        "most_negative": [
            {k: row[k] for k in ("source", "external_id", "published_at", "polarity", "text")}
            for row in reading.scores(engine, worst)
            if row["polarity"] is not None and row["polarity"] < 0
        ],
    }


def render(summary: Mapping[str, Any]) -> RenderableType:
    if not summary["records"]:
        return Text("There is nothing to report yet.")
    return Group(
        _headline(summary),
        Text(),
        _shares(summary),
        Text(),
        _trend(summary["days"]),
        Text(),
        _worst(summary["most_negative"]),
    )


def _headline(summary: Mapping[str, Any]) -> Text:
    text = Text.assemble(
        (f"{summary['records']:,}", "bold"),
        f" records, {summary['scored']:,} scored, {summary['skipped']:,} without text, ",
    )
    provisional = summary["provisional"]
    text.append(f"{provisional:,} provisional", "yellow" if provisional else "")
    waiting = summary["records"] - summary["scored"] - summary["skipped"]
    if waiting:
        text.append(f", {waiting:,} without a score", "yellow")
    return text


def _shares(summary: Mapping[str, Any]) -> Table:
    table = Table(title="Share by label", title_justify="left", box=None, pad_edge=False)
    table.add_column("source")
    for label, style in STYLES.items():
        table.add_column(label, justify="right", style=style)
    table.add_column()
    rows = list(summary["sources"].items())
    if len(rows) > 1:
        rows.append(("all", summary["labels"]))
    for name, counts in rows:
        total = sum(counts.get(label, 0) for label in STYLES) or 1
        shares = [counts.get(label, 0) / total for label in STYLES]
        table.add_row(cell(name), *(f"{share:.0%}" for share in shares), _stack(shares))
    return table


def _stack(shares: Sequence[float]) -> Text:
    bar = Text()
    for share, style in zip(shares, STYLES.values(), strict=True):
        bar.append("█" * round(share * BAR), style)
    return bar


def _trend(days: Sequence[Row]) -> Table:
    table = Table(
        title="Mean polarity by day (-1 negative to +1 positive; ░ has provisional scores)",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("day")
    table.add_column("records", justify="right")
    table.add_column("polarity", justify="right")
    table.add_column()
    if len(days) > MAX_DAYS:
        table.caption = f"the last {MAX_DAYS} of {len(days)} days"
    for day in days[-MAX_DAYS:]:
        mean = day["mean_polarity"]
        shown = "-" if mean is None else f"{mean:+.2f}"
        table.add_row(
            str(day["day"]), f"{day['records']:,}", shown, _lean(mean, bool(day["provisional"]))
        )
    return table


def _lean(polarity: float | None, provisional: bool) -> Text:
    """A bar that leans left of the middle for negative, right of it for positive."""
    half = BAR // 2
    if polarity is None:
        return Text(" " * half + "│")
    length = min(half, round(abs(polarity) * half))
    block = ("░" if provisional else "█") * length
    if polarity < 0:
        return Text.assemble(" " * (half - length), (block, STYLES["negative"]), "│")
    return Text.assemble(" " * half, "│", (block, STYLES["positive"]))


def _worst(rows: Sequence[Row]) -> Table:
    table = Table(title="Most negative", title_justify="left", box=None, pad_edge=False)
    table.add_column("polarity", justify="right", style="red")
    table.add_column("source")
    table.add_column("id")
    table.add_column("text")
    for row in rows:
        table.add_row(
            f"{row['polarity']:+.2f}",
            cell(row["source"]),
            cell(row["external_id"]),
            cell(row["text"]),
        )
    return table


def _by(rows: Sequence[Row], key: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        name = row[key] or "none"
        counts[name] = counts.get(name, 0) + row["records"]
    return counts
