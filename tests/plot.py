"""Line charts as SVG, for the documents: no library, nothing but what a reader needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 760, 300, 44
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#555555"
"""Told apart by everybody: https://jfly.uni-koeln.de/color/"""


@dataclass(frozen=True)
class Curve:
    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    """(seconds, value)"""
    dash: str = ""


def chart(
    path: Path,
    curves: Sequence[Curve],
    *,
    ticks: Sequence[int],
    right: Sequence[str] = (),
    below: str,
) -> None:
    """`ticks` are the values of the left axis, `right` what stands opposite them."""
    times = [at for curve in curves for at, _ in curve.points]
    start, end, ceiling = min(times), max(times), ticks[-1] * 1.05

    def x(at: float) -> float:
        return MARGIN + (at - start) / (end - start) * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - min(value, ceiling) / ceiling * (HEIGHT - 2 * MARGIN)

    grid = "".join(
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(v):.0f}" y2="{y(v):.0f}" stroke="#ddd"/>'
        f'<text x="{MARGIN - 8}" y="{y(v) + 4:.0f}" text-anchor="end">{v}</text>\n'
        for v in ticks
    ) + "".join(
        f'<text x="{WIDTH - MARGIN + 8}" y="{y(v) + 4:.0f}">{words}</text>\n'
        for v, words in zip(ticks, right, strict=False)
    )
    drawn = "".join(
        f'<polyline points="{" ".join(f"{x(at):.1f},{y(v):.1f}" for at, v in c.points)}"'
        f' fill="none" stroke="{c.colour}" stroke-width="2" stroke-dasharray="{c.dash}"/>'
        f'<text x="{MARGIN + 200 * number}" y="{MARGIN - 20}" fill="{c.colour}">{c.name}</text>\n'
        for number, c in enumerate(curves)
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{grid}{drawn}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">{below}</text></svg>\n',
        encoding="utf-8",
    )
