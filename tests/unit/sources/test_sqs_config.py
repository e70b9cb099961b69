"""What a queue's configuration may say: nothing that would be dropped in silence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from worker.sources.sqs import SqsSourceConfig, _region_of

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/drop"


def config(**said: Any) -> SqsSourceConfig:
    return SqsSourceConfig.model_validate({"name": "s", "queue": URL, **said})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"except": ["sun"]}, "except is for a queue that is read at its times"),
        ({"jitter": "1m"}, "jitter is for a queue that is read at its times"),
        ({"queue": "drop"}, "must be the queue's URL"),
        ({"id": "row"}, "two objects may have the same name"),
        ({"records": "items"}, 'are for shape = "records"'),
        ({"tags": {"a": "b.c"}}, 'are for shape = "records"'),
        ({"shape": "records"}, "needs text"),
        ({"shape": "records", "text": "a[", "id": "x"}, "text = 'a\\['"),
        ({"shape": "records", "text": "a", "sheet": "x"}, "sheet is of objects"),
        ({"encoding": "utf-9"}, "is no encoding"),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        config(**said)


def test_with_a_rhythm_it_is_read_at_its_times() -> None:
    assert config().listens
    timed = config(every="1h", jitter="1m", **{"except": ["sun"]})
    assert not timed.listens


def test_the_region_of_its_url() -> None:
    assert _region_of(URL) == "eu-central-1"
    assert _region_of("http://127.0.0.1:4566/123456789012/drop") is None
