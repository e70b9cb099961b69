"""What is dropped into a bucket, or sent to a queue, is scored: by `serve` at once, by `once` till
the queue is empty. moto plays S3, SNS and SQS, over HTTP."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.command import Shell
from tests.cloud import Cloud
from tests.scripted_lambda import ScriptedLambda
from worker.store import database


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as made:
        yield made


@pytest.fixture
def shell(
    tmp_path: Path, database_url: str, cloud: Cloud, scripted_lambda: ScriptedLambda
) -> Shell:
    write(tmp_path, cloud.queue)
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        LAMBDA_FUNCTION_NAME="scorer",
        **cloud.variables,
    )


def write(folder: Path, queue: str, more: str = "") -> None:
    (folder / "sentiment-worker.toml").write_text(
        f'[[source]]\nname = "drop"\nkind = "sqs"\nqueue = "{queue}"\n{more}'
    )


def texts(database_url: str) -> dict[str, str]:
    """Scored ones, by id."""
    plain = database.normalise_url(database_url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        rows = connection.execute(
            "SELECT r.external_id, r.text FROM sentiment.record r WHERE EXISTS"
            " (SELECT FROM sentiment.score s WHERE s.record_id = r.id)"
        ).fetchall()
    return dict(rows)


def _is_scored(database_url: str, id_: str) -> bool:
    return id_ in texts(database_url)


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_once_drains_the_queue(shell: Shell, cloud: Cloud, database_url: str) -> None:
    cloud.send('{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "drop"}')
    cloud.put("in/a b+é.csv", (1, "a good day"))
    cloud.put("in/other.csv", (2, "a bad day"))
    cloud.put("in/_SUCCESS", (3, "no file that is read"))
    cloud.put("in/gone.csv", (4, "never seen"))
    cloud.s3.delete_object(Bucket="drop", Key="in/gone.csv")
    assert "source drop: can be read; about 7 messages wait in it" in shell("doctor").out
    done = shell("once")
    assert done.code == 0, done.err
    assert texts(database_url) == {"1": "a good day", "2": "a bad day"}
    assert cloud.left() == 0
    cloud.put("in/other.csv", (2, "a better day"))
    assert shell("once").code == 0
    assert texts(database_url)["2"] == "a better day"


def test_notices_that_come_twice_change_nothing(
    shell: Shell, cloud: Cloud, scripted_lambda: ScriptedLambda, database_url: str
) -> None:
    cloud.put("a.csv", (1, "a good day"))
    received = cloud.sqs.receive_message(QueueUrl=cloud.queue, VisibilityTimeout=0)["Messages"]
    for _ in range(30):
        cloud.send(received[0]["Body"])
    assert shell("once").code == 0
    assert cloud.left() == 0
    cloud.send(received[0]["Body"])
    assert shell("once").code == 0
    assert sum(len(request["texts"]) for request in scripted_lambda.requests) == 1
    assert texts(database_url) == {"1": "a good day"}


def test_serve_scores_as_objects_arrive(shell: Shell, cloud: Cloud, database_url: str) -> None:
    """At once, and not at the next quarter of an hour; the benchmark says how fast."""
    with shell.started("serve") as process:
        until(lambda: len(shell("runs", "-o", "json").data or ()) >= 1)
        for n in range(4):
            time.sleep(1.5 * n)
            cloud.put(f"in/{n}.csv", (n, f"a good day {n}"))
            until(partial(_is_scored, database_url, str(n)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert cloud.left() == 0


def test_poison_goes_to_the_dead_letter_queue(
    shell: Shell, cloud: Cloud, database_url: str
) -> None:
    """After the number of receives that the queue allows; the rest is read."""
    cloud.send("a text that is no notice")
    cloud.put("a.csv", (1, "a good day"))
    for _ in range(3):
        done = shell("once")
        assert done.code == 1, done.err
        assert "1 message stayed in the queue: it is not JSON" in done.err
        assert "a text that" not in done.err
        received = cloud.sqs.receive_message(QueueUrl=cloud.queue, VisibilityTimeout=0)
        assert "Messages" not in received, "it rests"
        cloud.wake()
    assert shell("once").code == 0
    assert cloud.left(cloud.dead) == 1
    assert texts(database_url) == {"1": "a good day"}


def test_messages_that_are_records(shell: Shell, cloud: Cloud, database_url: str) -> None:
    write(
        shell.folder,
        cloud.records,
        'shape = "records"\nid = "review.id"\ntext = "[review.title, review.body]"\n'
        'time = "review.at"\ntags = { stars = "review.stars" }\n',
    )

    def review(id_: int, body: str, day: int) -> dict[str, Any]:
        at = f"2026-03-{day:02}T10:00:00Z"
        return {"review": {"id": id_, "title": "A lamp", "body": body, "at": at, "stars": 4}}

    cloud.send(review(1, "It is good.", 5), cloud.records)
    cloud.send(review(1, "It broke.", 9), cloud.records)
    cloud.send({"Type": "Notification", "TopicArn": "arn", "Message":
                json.dumps(review(2, "Fine.", 1))}, cloud.records)  # fmt: skip
    cloud.send({"review": {"title": "nobody"}}, cloud.records)
    done = shell("once")
    assert done.code == 1
    assert "no usable id" in done.err
    assert texts(database_url) == {"1": "A lamp\n\nIt broke.", "2": "A lamp\n\nFine."}
    cloud.send(review(1, "Sent first, and late.", 7), cloud.records)
    cloud.send(review(2, "Better than fine.", 2), cloud.records)
    shell("once")
    assert texts(database_url) == {"1": "A lamp\n\nIt broke.", "2": "A lamp\n\nBetter than fine."}
    assert cloud.left(cloud.records) == 1, "the one without an id waits for the dead-letter queue"


def test_the_messages_own_id_and_time(shell: Shell, cloud: Cloud, database_url: str) -> None:
    write(shell.folder, cloud.records, 'shape = "records"\ntext = "text"\n')
    for n in range(25):
        cloud.send({"text": f"a good day {n}"}, cloud.records)
    assert shell("once").code == 0
    assert sorted(texts(database_url).values()) == sorted(f"a good day {n}" for n in range(25))
    rows = shell("scores", "-o", "json").data
    assert all(row["published_at"] for row in rows)


def test_a_queue_that_is_not_there(shell: Shell, cloud: Cloud) -> None:
    write(shell.folder, f"{cloud.queue}-misspelt")
    done = shell("once")
    assert done.code == 2
    assert "cannot be read" in done.err
    assert "sqs:ReceiveMessage" in done.err


def test_one_deep_message_stops_nobody_else(shell: Shell, cloud: Cloud, database_url: str) -> None:
    cloud.send("[" * 100_000)
    cloud.put("a.csv", (1, "a good day"))
    done = shell("once")
    assert done.code == 1
    assert "it is not JSON" in done.err
    assert texts(database_url) == {"1": "a good day"}


def test_a_message_s_values_are_in_no_log(shell: Shell, cloud: Cloud) -> None:
    write(shell.folder, cloud.records, 'shape = "records"\ntext = "text"\ntime = "at"\n')
    cloud.send({"text": "a good day", "at": "canary in a time"}, cloud.records)
    done = shell("once", "--verbose")
    assert done.code == 1
    assert "the time at 'at' cannot be read" in done.err
    assert "canary" not in done.err


def test_what_cannot_be_read_now_is_not_held(shell: Shell, cloud: Cloud, database_url: str) -> None:
    """A source that is paused, or over budget, gives its messages back, and rests."""
    with shell.started("serve"):
        until(lambda: len(shell("runs", "-o", "json").data or ()) >= 1)
        paused = shell("schedule", "pause", "drop", "--for", "2h", "--reason", "a look")
        assert paused.code == 0, paused.err
        cloud.put("a.csv", (1, "a good day"))
        until(lambda: cloud.visible() == 1, 90)
        runs = len(shell("runs", "-o", "json").data)
        time.sleep(3)
        assert cloud.visible() == 1
        assert len(shell("runs", "-o", "json").data) == runs
    assert texts(database_url) == {}


def test_a_queue_that_cannot_be_opened_stops_no_other_source(
    shell: Shell, cloud: Cloud, database_url: str
) -> None:
    """Without a region there is no client: the queue's fault alone."""
    (shell.folder / "a.csv").write_text("id,text\n1,a good day\n")
    with open(shell.folder / "sentiment-worker.toml", "a", encoding="utf-8") as config:
        config.write('[[source]]\nname = "a"\nkind = "file"\npath = "a.csv"\n')
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        del shell.variables[name]
    with shell.started("serve", AWS_ENDPOINT_URL_LAMBDA="", USE_LAMBDA_SENTIMENT="0"):
        until(partial(_is_scored, database_url, "1"))
    log = (shell.folder / "started.log").read_text()
    assert "No valid AWS region is set" in log
    assert log.count("No valid AWS region") < 5
