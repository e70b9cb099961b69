"""People judge drawn records on the page: by a name of their own, and with no other right."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from tests.acceptance.command import Shell
from tests.acceptance.site import Answer, Site, served
from tests.scripted_lambda import ScriptedLambda, scored
from worker.store import database

ROWS = 60


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    scripted_lambda.script = lambda request, n: scored(request)
    rows = "".join(f"{n},a good day {n}\n" for n in range(ROWS))
    (tmp_path / "reviews.csv").write_text(f"id,text\n{rows}", encoding="utf-8")
    shell = Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
        LAMBDA_FUNCTION_NAME="sentiment",
    )
    assert shell("once", "reviews.csv").code == 0
    assert shell("review", "draw", "--source", "reviews", "--n", 8).code == 0
    return shell


def asked(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def shown(answer: Answer) -> str:
    """Where the form of the record that is shown leads to."""
    assert answer.status == 200, answer.text
    found = re.search(r'action="(/review/\d+/\d+)/label"', answer.text)
    assert found, answer.text
    return found[1]


def judge(site: Site, label: str, draw: int = 1, **headers: str) -> None:
    path = shown(site(f"/review/{draw}", **headers))
    assert site.post(f"{path}/label", {"label": label}, **headers).status == 303


LABELS = "SELECT person_label FROM analytics.review_items WHERE person_label IS NOT NULL"


def test_label_skip_and_undo(shell: Shell, engine: Engine) -> None:
    with served(shell, "--review") as site:
        assert 'href="/review/1"' in site("/review").text
        first = site("/review/1")
        assert "a good day" in first.text
        assert "8 left for" in first.text
        before_footer = first.text.partition("<footer")[0]
        assert "0.9" not in before_footer, "what the machine said is not shown"
        judge(site, "negative")
        assert asked(engine, LABELS) == [("negative",)]
        passed = site.post(f"{shown(site('/review/1'))}/skip", {"why": "no text"})
        assert (passed.status, passed.headers["location"]) == (303, "/review/1")
        assert "6 left for" in site("/review/1").text
        for left in (7, 8):  # the skip, then the label
            assert site.post("/review/1/undo", {}).status == 303
            assert f"{left} left for" in site("/review/1").text
        assert asked(engine, LABELS) == []
        sql = "SELECT label, why FROM sentiment.override ORDER BY id"
        assert asked(engine, sql) == [("negative", "review"), (None, "review undone")]
        for _ in range(8):
            judge(site, "positive")
        assert "Nothing is left for you" in site("/review/1").text
    found = shell("review", "report", "--source", "reviews", "--output", "json").data
    assert (found["judged"], found["accuracy"][0]["right"]) == (8, 4)


def test_only_where_it_was_asked_for(shell: Shell) -> None:
    with served(shell) as site:
        assert "dashboard --review" in site("/review").text
        for answer in (site("/review/1"), site.post("/review/1/1/label", {"label": "neutral"})):
            assert answer.status == 403
            assert "dashboard --review" in answer.text


def test_a_page_elsewhere_judges_nothing(shell: Shell, engine: Engine) -> None:
    with served(shell, "--review") as site:
        form = {"label": "negative"}
        for headers in (
            {"Origin": "https://elsewhere.example"},
            {"Origin": "null"},
            {"Origin": ""},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            assert site.post("/review/1/1/label", form, **headers).status == 403
        assert asked(engine, LABELS) == []
        assert site.post("/review/1/1/label", {"label": "awful"}).status == 400
        assert site.post("/review/1/1/label", {"label": "x" * 20_000}).status == 400
        assert site.post("/review/1/1/skip", {"why": " "}).status == 400
        many = {f"field{n}": "x" for n in range(11)}
        assert site.post("/review/1/1/label", form | many).status == 400
        assert site("/review/99").status == 404
        late = site.post("/review/1/999/label", form)
        assert late.headers["location"] == "/review/1?too_late=true"
        assert "was not kept" in site("/review/1?too_late=true").text


def test_a_reviewer_signs_in_by_name_and_a_reader_may_not_judge(
    shell: Shell, engine: Engine
) -> None:
    tokens = {
        "SENTIMENT_DASHBOARD_TOKEN": "only-reading",
        "SENTIMENT_REVIEWER_TOKEN": "also-judging",
    }
    with served(shell, "--review", **tokens) as site:
        reader, nobody = basic("ana", "only-reading"), basic("", "also-judging")
        reviewer = basic("Rita Müller", "also-judging")
        assert site("/review/1").status == 401
        assert site("/review", Authorization=reader).status == 200
        for authorization in (reader, nobody, "Bearer also-judging"):
            refused = site("/review/1", Authorization=authorization)
            assert refused.status == 403
            assert "SENTIMENT_REVIEWER_TOKEN" in refused.text
        judge(site, "neutral", Authorization=reviewer)
    sql = "SELECT person, label FROM analytics.review_judgements"
    assert asked(engine, sql) == [("Rita Müller", "neutral")]
    alone = shell("dashboard", "--review", SENTIMENT_DASHBOARD_TOKEN="only-reading")
    assert alone.code == 2
    assert "Set SENTIMENT_REVIEWER_TOKEN" in alone.err


def test_two_people_a_third_where_they_disagree_and_how_much_they_agree(
    shell: Shell, engine: Engine
) -> None:
    assert shell("review", "draw", "--source", "reviews", "--n", 4, "--people", 2).code == 0
    with served(shell, "--review", "--user-header", "X-User") as site:
        for _ in range(4):
            judge(site, "positive", draw=2, **{"X-User": "ana"})
        assert "Nothing is left for you" in site("/review/2", **{"X-User": "ana"}).text
        assert asked(engine, LABELS) == [], "one of two is not enough"
        for label in ("negative", "positive", "positive", "positive"):
            judge(site, label, draw=2, **{"X-User": "ben"})
        assert asked(engine, LABELS) == [("positive",)] * 3
        assert "1 left for cy" in site("/review/2", **{"X-User": "cy"}).text
        judge(site, "negative", draw=2, **{"X-User": "cy"})
    assert sorted(asked(engine, LABELS)) == [("negative",), *[("positive",)] * 3]
    sql = "SELECT made_by FROM sentiment.override WHERE label = 'negative'"
    assert asked(engine, sql) == [("ana, ben, cy",)]
    found = shell("review", "report", "--source", "reviews", "--output", "json").data
    assert found["judged_by_several"] == 4
    # By hand, of seven positive labels (2) and two negative (0): what was observed is 16 / 2, and
    # what chance gives 2 * 7 * 2 * 4 / 8.
    assert found["agreement"] == pytest.approx(1 - 8 / 14)
    told = shell("review", "report", "--source", "reviews").err
    assert "4 records were judged by several people" in told


def test_what_others_said_since_is_not_undone(shell: Shell, engine: Engine) -> None:
    with served(shell, "--review", "--user-header", "X-User") as site:
        ann, bob = {"X-User": "ann"}, {"X-User": "bob"}
        path = shown(site("/review/1", **ann))
        assert site.post(f"{path}/label", {"label": "negative"}, **ann).status == 303
        late = site.post(f"{path}/label", {"label": "positive"}, **bob)
        assert late.headers["location"].endswith("too_late=true"), "one opinion was wanted"
        assert asked(engine, LABELS) == [("negative",)]
        (record,) = asked(engine, "SELECT external_id FROM analytics.review_items"
                                  " WHERE person_label IS NOT NULL")  # fmt: skip
        shell("override", "set", "reviews", record[0], "neutral", "--why", "appeal")
        assert site.post("/review/1/undo", {}, **ann).status == 303
    sql = f"SELECT label FROM analytics.current_sentiment WHERE external_id = '{record[0]}'"
    assert asked(engine, sql) == [("neutral",)], "the word that came later stays"
    assert asked(engine, LABELS) == []


def test_a_record_that_somebody_judged_is_not_passed_over(shell: Shell, engine: Engine) -> None:
    assert shell("review", "draw", "--source", "reviews", "--n", 4, "--people", 2).code == 0
    with served(shell, "--review", "--user-header", "X-User") as site:
        ann, bob = {"X-User": "ann"}, {"X-User": "bob"}
        path = shown(site("/review/2", **ann))
        assert site.post(f"{path}/label", {"label": "negative"}, **ann).status == 303
        late = site.post(f"{path}/skip", {"why": "no text"}, **bob)
        assert late.headers["location"].endswith("too_late=true")
        invisible = site("/review/2", **{"X-User": "\t"})
        assert invisible.status in (401, 403)
    assert asked(engine, "SELECT count(skipped_why) FROM analytics.review_items") == [(0,)]


@pytest.fixture
def rita(shell: Shell) -> Iterator[str]:
    """The URL of a reviewer's own login, made as an operator makes it."""
    made = shell("db", "roles", "--reviewer", "rita")
    assert made.code == 0, made.err
    assert "judges records that were drawn for review" in made.err
    url = database.normalise_url(shell.variables["DATABASE_URL"])
    yield url.set(username="rita").render_as_string(hide_password=False)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute("DROP OWNED BY rita; DROP ROLE rita")


def test_a_reviewer_s_login_judges_and_does_nothing_else(
    shell: Shell, engine: Engine, rita: str
) -> None:
    with served(shell, "--review", DATABASE_URL=rita) as site:
        judge(site, "negative")
    assert asked(engine, LABELS) == [("negative",)]
    with sa.create_engine(rita, poolclass=sa.NullPool).connect() as connection:
        for sql in (
            "SELECT text FROM sentiment.record",
            "INSERT INTO sentiment.override (record_id, made_by, why) VALUES (1, 'rita', '')",
            "UPDATE sentiment.review_item SET said = 'negative'",
            "DELETE FROM sentiment.review_judgement",
            "SELECT sentiment.review_settle(1, 1, 'rita')",
        ):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                connection.exec_driver_sql(sql)
            connection.rollback()
        found = connection.exec_driver_sql("SELECT count(*) FROM analytics.current_sentiment")
        assert found.scalar() == ROWS
