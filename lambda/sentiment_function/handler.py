"""The Lambda handler: {"texts": [...]} in, one sentiment a text out."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from sentiment_function import wire
from sentiment_function.model import Model, model_folder

log = logging.getLogger("sentiment_function")
log.setLevel(logging.INFO)


@cache
def model() -> Model:
    """Loaded by the first call of an environment, kept for all that follow."""
    return Model(model_folder())


# Loading while the environment initialises is free of charge up to ten seconds, and spares the
# first caller the wait. https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
model()


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Answers 400 with a sentence to what is no request; raises only for a broken model."""
    try:
        texts = wire.texts_of(event)
    except wire.BadRequest as reason:
        log.warning("refused a request: %s", reason)
        return wire.refusal(reason)
    sentiments = model().sentiments(texts)
    log.info("scored %d texts, %d results", len(texts), len(sentiments))
    return wire.answer(event, sentiments, model=model().name, version=model().version)
