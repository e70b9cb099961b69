"""Stored sentiment as pandas DataFrames, read-only.

    from worker import analysis

    with analysis.connect() as sentiment:
        reviews = sentiment.scores(source="reviews", since="30d", label="negative")
        by_day = sentiment.daily(source="reviews")

Needs the extra `analysis`: pip install 'sentiment-worker[analysis]'
"""

from worker.analysis.frames import Sentiment, connect

__all__ = ["Sentiment", "connect"]
