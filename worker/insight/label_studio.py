"""Drawn records as Label Studio's tasks, and what people said of them there. Pure.

The format: https://labelstud.io/guide/task_format
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from worker.errors import ConfigurationError
from worker.insight.review import LABELS, Answers

INTERFACE = """\
<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text" choice="single" showInline="true">
    <Choice value="negative" hotkey="1"/>
    <Choice value="neutral" hotkey="2"/>
    <Choice value="positive" hotkey="3"/>
  </Choices>
</View>
"""
"""Of a project there: Settings, Labeling Interface, Code."""


def tasks(review_id: int, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the machine said is left out: nobody is to be led."""
    return [
        {"data": {"review": review_id, "number": item["number"], "text": item["text"]}}
        for item in items
    ]


def answers(exported: str) -> list[Answers]:
    """Of each task, in the file's order; a cancelled annotation says nothing, and of one person's
    several the last counts.

    Raises ConfigurationError where it is no JSON export of such tasks.
    """
    try:
        return [_answers(task) for task in json.loads(exported)]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            "This is no JSON export of Label Studio with tasks of `review export`.",
            hint="There, choose Export, then JSON (not JSON-MIN, and not CSV).",
        ) from error


def _answers(task: Mapping[str, Any]) -> Answers:
    data, labels = task["data"], dict[str, str]()
    for annotation in task["annotations"]:
        said = [
            choice
            for result in annotation["result"]
            if result["type"] == "choices"
            for choice in result["value"]["choices"]
            if choice in LABELS
        ]
        if len(said) == 1 and not annotation.get("was_cancelled"):
            labels[_who(annotation.get("completed_by"))] = said[0]
    return Answers(int(data["review"]), int(data["number"]), data["text"], labels)


def _who(completed_by: Any) -> str:
    """A number, or an object with an address, as the project exports it."""
    if isinstance(completed_by, dict):
        return str(completed_by.get("email") or completed_by.get("id"))
    return str(completed_by)
