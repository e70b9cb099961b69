"""Drawn records as Argilla's records, and what people said of them there. Pure.

The format is that of `dataset.records.to_json` and `from_json`, of Argilla 2:
https://docs.argilla.io/latest/how_to_guides/import_export/
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from worker.errors import ConfigurationError
from worker.insight.review import LABELS, Answers

QUESTION = "sentiment"

INTERFACE = """\
import argilla as rg

client = rg.Argilla(api_url="...", api_key="...")
dataset = rg.Dataset(
    name="review",
    settings=rg.Settings(
        fields=[rg.TextField("text")],
        questions=[rg.LabelQuestion("sentiment", labels=["negative", "neutral", "positive"])],
        metadata=[rg.IntegerMetadataProperty("review"), rg.IntegerMetadataProperty("number")],
    ),
    client=client,
)
dataset.create()
dataset.records.from_json("records.json")
# Afterwards: dataset.records.to_json("labels.json")
"""
"""Makes the dataset there, with what `review export` wrote to records.json."""


def tasks(review_id: int, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the machine said is left out: nobody is to be led."""
    return [
        {
            "id": f"{review_id}-{item['number']}",
            "fields": {"text": item["text"]},
            "metadata": {"review": review_id, "number": item["number"]},
            "suggestions": {},
            "responses": {},
            "vectors": {},
        }
        for item in items
    ]


def answers(exported: str) -> list[Answers]:
    """Of each record, in the file's order; of one person's several responses the last counts.

    Raises ConfigurationError where it is no JSON export of such records.
    """
    try:
        return [_answers(record) for record in json.loads(exported)]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            "This is no JSON export of Argilla with records of `review export --tool argilla`.",
            hint='There: dataset.records.to_json("labels.json").',
        ) from error


def _answers(record: Mapping[str, Any]) -> Answers:
    about = record["metadata"]
    labels = {
        str(response["user_id"]): response["value"]
        for response in record["responses"].get(QUESTION, ())
        if response["value"] in LABELS
    }
    return Answers(int(about["review"]), int(about["number"]), record["fields"]["text"], labels)
