"""Recordings, said by espeak-ng, transcribed by the local function, scored by the local
Lambda: by the installed command, from a folder and from a queue."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.command import Shell
from tests.cloud import Cloud
from tests.speech import DELAYED, GERMAN, LOVE, MODEL, SAID, encoded
from worker.store import database

SOURCE = '[[source]]\nname = "calls"\nkind = "audio"\npath = "calls"\nfunction = "local"\n'


def rows(database_url: str, sql: str, *arguments: str) -> list[Any]:
    plain = database.normalise_url(database_url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        return connection.execute(sql.encode(), arguments).fetchall()


@pytest.fixture
def shell(tmp_path: Path, database_url: str) -> Shell:
    (tmp_path / "sentiment-worker.toml").write_text(SOURCE)
    calls = tmp_path / "calls"
    calls.mkdir()
    shutil.copy(DELAYED, calls)
    encoded(LOVE, calls / "love.mp3")
    shutil.copy(GERMAN, calls)
    (calls / "broken.wav").write_bytes(b"RIFF and nothing else")
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        LAMBDA_FUNCTION_NAME="local",
        TRANSCRIPTION_MODEL=str(MODEL),
    )


def test_what_is_said_in_a_folder_is_scored(shell: Shell, database_url: str) -> None:
    done = shell("once")
    assert done.code == 5, done.err  # two in quarantine
    assert "2 in quarantine" in done.err
    found = rows(
        database_url, "SELECT text, label, language, tags FROM analytics.current_sentiment"
    )
    said = {text: label for text, label, *_ in found}
    assert said.keys() == {SAID[DELAYED], SAID[LOVE]}
    assert said[SAID[LOVE]] == "positive"
    assert {language for _, _, language, _ in found} == {"en"}
    assert all({"duration", "confidence", "language"} <= tags.keys() for *_, tags in found)
    reasons = [row["reason"] for row in shell("quarantine", "list", "-o", "json").data]
    assert any("not readable audio" in reason for reason in reasons)
    assert any("a language that the model does not know" in reason for reason in reasons)
    assert not any(SAID[DELAYED] in said for said in (done.out, done.err))
    assert _calls_that_transcribed(shell) == 3

    again = shell("once")
    assert (again.code, "0 read" in again.err) == (0, True)
    rewound = shell("state", "rewind", "calls", "--beginning", "--why", "test")
    assert rewound.code == 0, rewound.err
    third = shell("once")
    assert " 0 new" in third.err
    assert _calls_that_transcribed(shell) == 3  # also the German one, which was not believed
    assert rows(database_url, "SELECT count(*) FROM sentiment.transcript") == [(3,)]


def _calls_that_transcribed(shell: Shell) -> int:
    costs = shell("cost", "report", "--by", "model", "-o", "json").data
    (found,) = [row["invocations"] for row in costs if row["model"] == MODEL.name]
    return int(found)


def test_segments(shell: Shell, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "sentiment-worker.toml").write_text(SOURCE + 'split = "segment"\n')
    encoded(DELAYED, tmp_path / "calls" / "long.flac", times=3)
    shell("once")
    found = rows(
        database_url,
        "SELECT external_id, tags FROM analytics.current_sentiment WHERE external_id LIKE %s"
        " ORDER BY external_id",
        "%long.flac#%",
    )
    assert len(found) == 3
    starts = [float(tags["start"]) for _, tags in found]
    assert starts == sorted(starts)


def test_a_first_look(shell: Shell, tmp_path: Path) -> None:
    tried = shell("sources", "try", str(tmp_path / "calls"))
    assert SAID[DELAYED][:40] in tried.out
    assert 'kind = "audio"' in tried.out
    assert 'function = "local"' in tried.out
    assert "transcribing takes calls of its own" in tried.out + tried.err
    examined = shell("doctor", "-o", "json")
    (finding,) = [f for f in json.loads(examined.out) if f["check"] == "source calls"]
    assert "4 recordings" in finding["detail"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('text = "body"', "is of rows with columns"),
        ('spoken_language = "Deutsch"', "spoken_language"),
        ('spoken_language = "de"', "the model does not know the language de"),
        ('split = "word"', "split"),
        ("concurrency = 0", "concurrency"),
        ('langauge = "de"', "langauge"),
    ],
)
def test_a_mistake_is_named(shell: Shell, tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "sentiment-worker.toml").write_text(SOURCE + line + "\n")
    done = shell("once")
    assert (done.code, told in done.err) == (2, True), done.err


@pytest.mark.parametrize("model", ["", "/nowhere/model", "tiney"])
def test_a_model_that_is_not_there(shell: Shell, model: str) -> None:
    done = shell("once", TRANSCRIPTION_MODEL=model)
    assert done.code != 0
    assert "TRANSCRIPTION_MODEL" in done.err
    assert shell("quarantine", "list", "-o", "json").data == []


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as made:
        yield made


def test_recordings_dropped_into_a_bucket(
    shell: Shell, cloud: Cloud, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "sentiment-worker.toml").write_text(
        f'[[source]]\nname = "drop"\nkind = "sqs"\nqueue = "{cloud.queue}"\nfunction = "local"\n'
    )
    cloud.s3.put_object(Bucket="drop", Key="calls/delayed.ogg", Body=DELAYED.read_bytes())
    cloud.put("rows.csv", ("1", "Great"))
    shell.variables.update(cloud.variables)
    done = shell("once")
    assert done.code == 0, done.err
    found = rows(database_url, "SELECT external_id, text FROM analytics.current_sentiment")
    assert set(found) == {("s3://drop/calls/delayed.ogg", SAID[DELAYED]), ("1", "Great")}
    assert cloud.left() == 0


def test_the_transcripts_of_a_removed_source_go_with_it(shell: Shell, database_url: str) -> None:
    shell("once")
    assert rows(database_url, "SELECT count(*) FROM sentiment.transcript") == [(3,)]
    removed = shell("sources", "remove", "calls", "--yes")
    assert removed.code == 0, removed.err
    assert rows(database_url, "SELECT count(*) FROM sentiment.transcript") == [(0,)]
