"""What a queue's message says of S3: each way that a notice comes, and what is none."""

from __future__ import annotations

import json

import pytest

from worker.sources.queue.notices import NotUnderstood, Place, written


def direct(event: str = "ObjectCreated:Put", key: str = "in/a+b%C3%A9.csv") -> str:
    s3 = {"bucket": {"name": "drop"}, "object": {"key": key, "size": 3, "eTag": "x"}}
    return json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": event, "s3": s3}]})


def by_eventbridge(kind: str = "Object Created") -> str:
    detail = {"bucket": {"name": "drop"}, "object": {"key": "in/a+b é.csv", "size": 3}}
    return json.dumps({"source": "aws.s3", "detail-type": kind, "detail": detail})


def by_sns(body: str) -> str:
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": body})


def test_a_key_is_decoded_where_s3_encodes_it() -> None:
    place = Place("drop", "in/a bé.csv")
    assert written(direct()) == [place]
    assert written(by_sns(direct())) == [place]
    assert written(by_eventbridge()) == [Place("drop", "in/a+b é.csv")]
    assert written(by_sns(by_eventbridge())) == [Place("drop", "in/a+b é.csv")]
    assert written(direct(key="in/100%2525+%2B.csv")) == [Place("drop", "in/100%25 +.csv")]


@pytest.mark.parametrize(
    "body",
    [
        '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "drop"}',
        direct("ObjectRemoved:Delete"),
        direct("s3:ObjectTagging:Put"),
        by_eventbridge("Object Deleted"),
        by_sns(direct("ObjectRemoved:DeleteMarkerCreated")),
        '{"Records": []}',
    ],
)
def test_nothing_was_written(body: str) -> None:
    assert written(body) == []


@pytest.mark.parametrize(
    "body",
    ["", "not json", "[]", "7", "null", "{}", '{"Records": 3}', '{"Records": [{"eventName": "x"}]}',
     '{"source": "aws.s3"}', '{"Records": [{"eventName": "ObjectCreated:Put", "s3": null}]}',
     by_sns("not json")],
)  # fmt: skip
def test_no_notice(body: str) -> None:
    with pytest.raises(NotUnderstood) as raised:
        written(body)
    assert "not json" not in str(raised.value), "a message may hold a record's text"


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        by_eventbridge().replace('"in/a+b \\u00e9.csv"', "5"),
        by_eventbridge().replace('{"name": "drop"}', '{"name": {}}'),
        by_eventbridge().replace("\\u00e9", "\\ud800"),
        direct(key=""),
    ],
)
def test_a_place_that_can_be_none(body: str) -> None:
    with pytest.raises(NotUnderstood):
        written(body)
