"""Stored sentiment, seen: pandas DataFrames, charts, reports.

    from worker import analysis

    with analysis.connect() as sentiment:
        reviews = sentiment.scores(source="reviews", since="30d", label="negative")
        by_day = sentiment.daily(source="reviews")

Read-only. DataFrames need the extra `analysis`, charts and reports the extra `charts`:
pip install 'sentiment-worker[analysis,charts]'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.analysis.frames import Sentiment, connect

__all__ = ["Sentiment", "connect"]


def __getattr__(name: str) -> Any:
    """pandas takes half a second to import: the report and the page do without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from worker.analysis import frames
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'sentiment-worker[analysis]'") from error

    return getattr(frames, name)
