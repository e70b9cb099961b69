"""What other programs call: `worker.score`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from worker import bootstrap
from worker.loading import load
from worker.scoring import direct
from worker.scoring.direct import Scored


def score(texts: Iterable[str], *, config: Path | None = None) -> list[Scored]:
    """Sentiment of texts, one result each, in order, and nothing stored. It is one call of the
    function that the settings name (LAMBDA_FUNCTION_NAME; else the local Lambda, started for this).

        >>> import worker
        >>> worker.score(["I love this!"])[0].label
        'positive'

    Raises worker.scoring.direct.ScoringFailed where no usable answer came, TypeError for what is
    no text, and worker.errors.ConfigurationError for what a person must change.
    """
    if isinstance(texts, str):
        raise TypeError("Give a list of texts, not one text.")
    texts = list(texts)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"Text {place} is a {type(text).__name__}, not a str.")
    with bootstrap.open_lambda(load(config).settings, stores=False) as target:
        return direct.score(target, texts)
