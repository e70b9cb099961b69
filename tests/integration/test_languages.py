"""Records in languages that their scorer does not read: what days and views say of them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from tests.rollups import WRONG_DAYS
from worker.records import ScorerId
from worker.store import database
from worker.store.analytics import rollup
from worker.store.journal import settle

RECORDS = (
    # id, the source's word, what was detected
    ("1", None, "de"),
    ("2", None, "nl"),
    ("3", "en-GB", "nl"),
    ("4", "nl_BE", "de"),
    ("5", None, None),
    ("6", "und", None),
    # Words that are no codes leave it to what was detected.
    ("7", "English", "en"),
    ("8", "n/a", "nl"),
    ("9", " DE ", None),
)


@pytest.fixture
def scored(engine: Engine) -> Engine:
    """A record a day, scored by a model that reads German and English."""
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO sentiment.source (name, kind) VALUES ('s', 'file')")
        connection.exec_driver_sql(
            "INSERT INTO sentiment.scorer (provider, model, version, languages)"
            " VALUES ('lambda', 'm', '1', '{de,en}')"
        )
        for number, language, detected in RECORDS:
            values = {"id": number, "language": language, "detected": detected}
            connection.execute(
                sa.text(
                    "WITH r AS (INSERT INTO sentiment.record (source_id, external_id, content_hash,"
                    " text, published_at, language, run_id) SELECT 1, :id, decode(md5(:id), 'hex'),"
                    " 'x', timestamptz '2026-01-01Z', :language, 1 RETURNING id, content_hash)"
                    " INSERT INTO sentiment.score (record_id, content_hash, scorer_id, label,"
                    " score, polarity, chunk_id, run_id, language)"
                    " SELECT id, content_hash, 1, 'negative', 0.9, -0.8, 1, 1, :detected FROM r"
                ),
                values,
            )
    rollup.fold(engine)
    return engine


def day(engine: Engine) -> tuple[int, ...]:
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT records, negative, unscored, unsupported FROM analytics.daily_sentiment"
        ).one()
    return tuple(found)


def test_the_sources_word_comes_first_and_what_is_not_known_counts(scored: Engine) -> None:
    rows = database.rows(
        scored,
        sa.text(
            "SELECT external_id, language, language_supported FROM analytics.current_sentiment"
            " ORDER BY external_id"
        ),
    )
    assert [(row["language"], row["language_supported"]) for row in rows] == [
        ("de", True),
        ("nl", False),
        ("en-GB", True),
        ("nl_BE", False),
        (None, True),
        ("und", True),
        ("English", True),
        ("n/a", False),
        (" DE ", True),
    ]
    assert day(scored) == (9, 6, 3, 3)


def test_the_outermost_records_are_of_languages_that_count(scored: Engine) -> None:
    sql = "SELECT cardinality(lowest_ids) FROM analytics.extremes"
    assert database.rows(scored, sa.text(sql))[0]["cardinality"] == 6


def test_what_a_worker_of_the_version_before_counts_is_put_right(scored: Engine) -> None:
    """It knows nothing of languages: it counts every label, and leaves the new column out."""
    with scored.begin() as connection:
        connection.exec_driver_sql("DELETE FROM sentiment.tally")
        connection.exec_driver_sql(
            "INSERT INTO sentiment.tally (block, source_id, day, tag, value, records, scored,"
            " positive, neutral, negative, provisional, rescored, overridden, micropolarity,"
            " lowest, highest) VALUES (0, 1, '2026-01-01', '', '', 9, 9, 0, 0, 9, 0, 0, 0,"
            " -7200000, -0.8, -0.8)"
        )
        connection.exec_driver_sql(
            "UPDATE sentiment.daily SET scored = 9, negative = 9, micropolarity = -7200000"
        )
    assert day(scored) == (9, 9, 0, 0)
    rollup.fold(scored)
    assert day(scored) == (9, 6, 3, 3)
    with scored.connect() as connection:
        assert connection.exec_driver_sql(WRONG_DAYS).all() == []


def test_a_scorer_that_says_nothing_of_languages_reads_them_all(scored: Engine) -> None:
    with scored.begin() as connection:
        connection.exec_driver_sql("UPDATE sentiment.scorer SET languages = NULL")
    rollup.fold(scored)  # a trigger says that its days are to be counted anew
    assert day(scored) == (9, 9, 0, 0)


def test_what_a_scorer_says_of_its_languages_later_is_kept(engine: Engine) -> None:
    """The function may be deployed before the workers that understand it."""
    with database.cursor(engine) as cur:
        for languages in ((), ("de", "en"), ("fr",)):
            settle.register_scorer(cur, ScorerId("lambda", "m", "1", languages))
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT languages FROM sentiment.scorer").scalar()
    assert found == ["de", "en"]
