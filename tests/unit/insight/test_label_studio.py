"""Tasks for Label Studio, and its exports: https://labelstud.io/guide/task_format"""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker.errors import ConfigurationError
from worker.insight import label_studio


def annotation(*labels: str, by: Any = 1, **more: Any) -> dict[str, Any]:
    result = [
        {"from_name": "sentiment", "to_name": "text", "type": "choices", "origin": "manual",
         "value": {"choices": [label]}}
        for label in labels
    ]  # fmt: skip
    return {"id": 7, "result": result, "completed_by": by, "was_cancelled": False} | more


def exported(*annotations: dict[str, Any]) -> str:
    """As Label Studio writes it: the task as it was given, and what was added to it."""
    (task,) = label_studio.tasks(3, [{"number": 5, "text": "what a day", "label": "positive"}])
    return json.dumps([task | {"id": 11, "annotations": annotations, "predictions": []}])


def labels(*annotations: dict[str, Any]) -> dict[str, str]:
    (answer,) = label_studio.answers(exported(*annotations))
    assert (answer.review, answer.number, answer.text) == (3, 5, "what a day")
    return dict(answer.labels)


def test_a_label_comes_back_with_who_gave_it() -> None:
    assert labels(annotation("negative")) == {"1": "negative"}
    assert labels(annotation("neutral", by={"id": 4, "email": "a@b.c"})) == {"a@b.c": "neutral"}


def test_two_people_are_told_apart_and_the_last_word_of_one_counts() -> None:
    said = labels(annotation("negative"), annotation("neutral", by=2), annotation("positive"))
    assert said == {"1": "positive", "2": "neutral"}


def test_what_says_nothing_is_no_label() -> None:
    assert labels() == {}
    assert labels(annotation("negative", was_cancelled=True)) == {}
    assert labels(annotation("sarcastic")) == {}
    assert labels(annotation("negative", "positive")) == {}


def test_what_the_machine_said_is_not_shown() -> None:
    assert "positive" not in exported()


@pytest.mark.parametrize("text", [
    "", "id,text\n1,a\n", "{}x", "[1]", '{"a": 1}', '[{"data": {"text": "x"}, "annotations": []}]',
    '[{"text": "x", "sentiment": "negative"}]', "[" * 100_000,
])  # fmt: skip
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no JSON export of Label Studio"):
        label_studio.answers(text)
