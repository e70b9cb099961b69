"""Each question of docs/analytics.md, asked of the airline tweets as the page asks it."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

from tests.acceptance.stored import tweets
from tests.conftest import needs_data
from worker.store import database

PAGE = Path(__file__).parents[2] / "docs" / "analytics.md"
QUESTIONS = re.findall(r"\*\*(\d+)\. (.+?)\*\*.*?```sql\n(.+?)```", PAGE.read_text(), re.DOTALL)


def test_there_are_ten() -> None:
    assert [number for number, *_ in QUESTIONS] == [str(n) for n in range(1, 11)]


@needs_data
def test_every_question_has_an_answer(tmp_path: Path, database_url: str, local_lambda: str) -> None:
    shell = tweets(tmp_path, database_url, local_lambda)
    (best,) = shell("scores", "--order", "most-positive", "-n", 1, "--output", "json").data
    chosen = best["external_id"]
    done = shell("override", "set", "tweets", chosen, "negative", "--why", "sarcasm")
    assert done.code == 0, done.err
    engine = database.make_engine(database_url, application="tests")
    reading = database.read_only(engine, timeout_s=30)
    answers = {}
    for number, question, sql in QUESTIONS:
        with database.transaction(reading) as connection:
            connection.exec_driver_sql("SET LOCAL ROLE sentiment_analyst")
            answers[number] = list(connection.execute(sa.text(sql.replace(":", r"\:"))))
        assert answers[number], question
    engine.dispose()
    assert answers["3"][0].airline != answers["3"][-1].airline
    assert answers["3"][0].share_negative > answers["3"][-1].share_negative
    assert sum(row.records for row in answers["1"]) == 14_485
    assert {row.label for row in answers["5"]} >= {"negative"}
    assert all(row.net_polarity < 0 for row in answers["1"]), "people write to airlines to complain"
    assert [row.external_id for row in answers["9"]] == [chosen]
