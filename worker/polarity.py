"""How positive a number of records is, and how sure that is. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

Z95 = 1.959963984540054


class Net(NamedTuple):
    """Share of positive records less share of negative ones, in [-1, 1], with its 95 % interval."""

    value: float
    low: float
    high: float


def net(positive: int, neutral: int, negative: int) -> Net | None:
    """Net polarity of so many scored records; None of none.

    The interval is Bonett and Price's for a difference of proportions of the same sample, which
    keeps its coverage down to ten records (J. Educ. Behav. Stat. 37(4), 2012, eq. 6).
    """
    scored = positive + neutral + negative
    if not scored:
        return None
    half = margin(positive, neutral, negative)
    middle = centre(positive, neutral, negative)
    value = (positive - negative) / scored
    return Net(value, max(-1.0, middle - half), min(1.0, middle + half))


def centre(positive: int, neutral: int, negative: int) -> float:
    """That interval's middle: nearer to nought than the value, most so where records are few."""
    return (positive - negative) / (positive + neutral + negative + 2)


def margin(positive: int, neutral: int, negative: int) -> float:
    """Half that interval's width, before it is cut at -1 and 1."""
    size = positive + neutral + negative + 2
    plus, minus = (positive + 1) / size, (negative + 1) / size
    return Z95 * math.sqrt((plus + minus - (plus - minus) ** 2) / size)
