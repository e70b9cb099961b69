"""A drawing of test 8 for docs/reliability.md: limit, throughput and throttles over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.plot import BLUE, GREY, ORANGE, Curve, chart

STEP_S = 0.5

Call = tuple[float, int, bool]
Phase = tuple[int, float, float, float]


def draw(path: Path, log: Sequence[Call], phases: Sequence[Phase], latency_s: float) -> None:
    """SVG: the Lambda's limit in calls at once (left), answered calls a second (right, so scaled
    that the limit's line is also what is possible), and throttled calls a second."""
    start, end = phases[0][2], phases[-1][3]
    slots = [start + n * STEP_S for n in range(int((end - start) / STEP_S) + 1)]
    answered: list[tuple[float, float]] = []
    throttled: list[tuple[float, float]] = []
    for a, b in pairwise(slots):
        refused = [bad for at, _, bad in log if a <= at < b]
        answered.append((a, refused.count(False) / STEP_S * latency_s))
        throttled.append((a, refused.count(True) / STEP_S))
    limits: list[tuple[float, float]] = [(at, limit) for limit, _, a, b in phases for at in (a, b)]
    ticks = range(0, int(1.3 * max(limit for limit, *_ in phases)) + 1, 8)
    chart(
        path,
        [
            Curve("limit of the Lambda", GREY, limits, "6 4"),
            Curve("answered a second (right)", BLUE, answered),
            Curve("throttled calls a second", ORANGE, throttled),
        ],
        ticks=ticks,
        right=[f"{tick / latency_s:.0f}" for tick in ticks],
        below=f"{end - start:.0f} seconds",
    )
