"""A drawing of test 8 for docs/reliability.md: limit, throughput and throttles over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 760, 300, 44
STEP_S = 0.5

Call = tuple[float, int, bool]
Phase = tuple[int, float, float, float]


def draw(path: Path, log: Sequence[Call], phases: Sequence[Phase], latency_s: float) -> None:
    """SVG: the Lambda's limit in calls at once (left), answered calls a second (right, so scaled
    that the limit's line is also what is possible), and throttled calls a second."""
    start, end = phases[0][2], phases[-1][3]
    ceiling = 1.3 * max(limit for limit, *_ in phases)

    def x(at: float) -> float:
        return MARGIN + (at - start) / (end - start) * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - min(value, ceiling) / ceiling * (HEIGHT - 2 * MARGIN)

    slots = [start + n * STEP_S for n in range(int((end - start) / STEP_S) + 1)]
    answered: list[tuple[float, float]] = []
    throttled: list[tuple[float, float]] = []
    for a, b in pairwise(slots):
        refused = [bad for at, _, bad in log if a <= at < b]
        answered.append((a, refused.count(False) / STEP_S * latency_s))
        throttled.append((a, refused.count(True) / STEP_S))
    limits: list[tuple[float, float]] = [(at, limit) for limit, _, a, b in phases for at in (a, b)]
    lines = [
        ("limit of the Lambda", "#555555", "6 4", limits),
        ("answered a second (right)", "#0072b2", "", answered),
        ("throttled calls a second", "#d55e00", "", throttled),
    ]
    grid = "".join(
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(v):.0f}" y2="{y(v):.0f}" stroke="#ddd"/>'
        f'<text x="{MARGIN - 8}" y="{y(v) + 4:.0f}" text-anchor="end">{v}</text>'
        f'<text x="{WIDTH - MARGIN + 8}" y="{y(v) + 4:.0f}">{v / latency_s:.0f}</text>\n'
        for v in range(0, int(ceiling) + 1, 8)
    )
    curves = "".join(
        f'<polyline points="{" ".join(f"{x(at):.1f},{y(v):.1f}" for at, v in points)}" fill="none"'
        f' stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        f'<text x="{MARGIN + 200 * number}" y="{MARGIN - 20}" fill="{colour}">{name}</text>\n'
        for number, (name, colour, dash, points) in enumerate(lines)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{grid}{curves}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"{end - start:.0f} seconds</text></svg>\n"
    )
    path.write_text(svg, encoding="utf-8")
