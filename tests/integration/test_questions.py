"""What analysts ask, held against a count of every record: nothing left out, nothing made up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from tests.conftest import cloned
from worker.errors import Misasked, Unknown
from worker.insight import scope as asked
from worker.store import database
from worker.store.analytics import overrides, questions, record_questions, rollup, scores
from worker.store.analytics.scores import Extreme, ScoreFilter
from worker.store.analytics.tallies import Scope

FIRST = date(2026, 1, 1)
DAYS, RECORDS = 40, 20_000
"""More than two blocks of the roll-up; each of them has records of every day."""


@pytest.fixture(scope="module")
def stored(server_url: str, template: str) -> Iterator[Engine]:
    with cloned(server_url, template) as url:
        engine = database.make_engine(url, application="tests")
        _fill(engine)
        yield engine
        engine.dispose()


def _fill(engine: Engine) -> None:
    """Two sources; polarities that repeat, so that there are ties; some records without a score."""
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO sentiment.source (name, kind) VALUES ('a', 'file'), ('b', 'sql')")
        )
        connection.execute(
            sa.text("INSERT INTO sentiment.scorer (provider, model, version)"
                    " VALUES ('lambda', 'm', '1')")
        )  # fmt: skip
        connection.execute(
            sa.text("""
            INSERT INTO sentiment.record
                (source_id, external_id, content_hash, text, published_at, tags, run_id)
            SELECT 1 + n % 2, n::text, decode(md5(n::text), 'hex'), 'x',
                   timestamptz '2026-01-01Z' + n * 7919 % (:days * 86400) * interval '1 second',
                   jsonb_build_object('airline', (ARRAY['United', 'Delta', 'AT&T'])[1 + n % 3],
                                      'reason', 'r' || n % 7), 1
            FROM generate_series(1, :records) n"""),
            {"records": RECORDS, "days": DAYS},
        )
        connection.execute(
            sa.text("""
            INSERT INTO sentiment.score (record_id, content_hash, scorer_id, label, score, polarity,
                                         chunk_id, run_id)
            SELECT id, content_hash, 1, CASE WHEN id * 31 % 997 < 600 THEN 'negative'
                                             ELSE 'positive' END,
                   0.9, (id * 31 % 997 - 500) / 500.0, 1, 1
            FROM sentiment.record WHERE id % 11 > 0""")
        )
    rollup.fold(engine)


def truly(engine: Engine, scope: Scope, order: Extreme, count: int) -> list[float]:
    """Polarities of the outermost records, by looking at every one."""
    wanted = ScoreFilter(
        source=scope.source,
        since=datetime(scope.since.year, scope.since.month, scope.since.day, tzinfo=UTC),
        until=datetime(scope.until.year, scope.until.month, scope.until.day, tzinfo=UTC),
        tag=scope.tag_value,
        order=order,
        min_polarity=-1.0,
        limit=count,
    )
    return [row["polarity"] for row in scores.ask(engine, wanted)]


def test_the_most_negative_records_are_those_of_the_whole_period(stored: Engine) -> None:
    random = Random(4)
    orders: tuple[Extreme, Extreme] = ("most-negative", "most-positive")
    for _ in range(60):
        since = FIRST + timedelta(days=random.randrange(DAYS))
        until = since + timedelta(days=random.randrange(1, DAYS))
        scope = Scope(since, until, random.choice((None, "a", "b")))
        if random.random() < 0.5:
            scope = scope.on(tag="airline", value=random.choice(("United", "Delta", "AT&T")))
        order, count = random.choice(orders), random.choice((1, 5, 20))
        found = record_questions.extremes(stored, scope, order, count)
        assert [row["polarity"] for row in found] == truly(stored, scope, order, count)
        assert len({row["record_id"] for row in found}) == len(found)


def test_a_persons_word_moves_the_most_negative_records(engine: Engine) -> None:
    _fill(engine)
    scope = Scope(FIRST, FIRST + timedelta(days=DAYS), "a")
    worst = record_questions.extremes(engine, scope, "most-negative", 3)
    for row in worst:
        overrides.put(engine, row["record_id"], "positive", by="ana", why="sarcasm")
    rollup.fold(engine, wait=True)
    again = record_questions.extremes(engine, scope, "most-negative", 20)
    assert not {r["record_id"] for r in worst} & {r["record_id"] for r in again}
    assert [r["polarity"] for r in again] == truly(engine, scope, "most-negative", 20)


def test_blocks_that_an_older_worker_counted_are_counted_anew(engine: Engine) -> None:
    _fill(engine)
    scope = Scope(FIRST, FIRST + timedelta(days=DAYS))
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE sentiment.tally SET lowest = NULL, lowest_ids = NULL WHERE block = 1")
        )
    assert rollup.fold(engine) == 1
    found = record_questions.extremes(engine, scope, "most-negative", 20)
    assert [r["polarity"] for r in found] == truly(engine, scope, "most-negative", 20)


def test_two_tags_are_not_crossed_and_none_is_dropped(stored: Engine) -> None:
    united = Scope(FIRST, FIRST + timedelta(days=DAYS), tag="airline", value="United")
    for ask in (
        lambda: questions.compared(stored, united, "reason"),
        lambda: questions.values(stored, united, "reason"),
        lambda: questions.tags(stored, united),
    ):
        with pytest.raises(Misasked, match="airline = United cannot be split by another tag"):
            ask()
    everything = questions.values(stored, united.on(tag=None, value=None), "airline")
    (only,) = questions.compared(stored, united, "airline")
    assert [only] == [group for group in everything if group.name == "United"]


def test_an_unknown_tag_or_value_is_named_with_its_nearest(stored: Engine) -> None:
    whole = Scope(FIRST, FIRST + timedelta(days=DAYS))
    with pytest.raises(Unknown, match="'airlin' is not a tag") as error:
        questions.compared(stored, whole, "airlin")
    assert error.value.hint == "Did you mean 'airline'? There are: airline, reason."
    with pytest.raises(Unknown, match="No record of 'a' has airline = 'Untied'") as error:
        questions.require_tag(stored, "a", "airline", "Untied")
    assert error.value.hint.startswith("Did you mean 'United'? There are: ")
    with pytest.raises(Unknown, match="No score has the label 'negativ'") as error:
        scores.require_label(stored, "negativ")
    assert "Did you mean 'negative'?" in error.value.hint
    with pytest.raises(Misasked, match="is above the maximum"):
        scores.statement(ScoreFilter(min_polarity=0.5, max_polarity=-0.5))


def test_every_source_has_its_own_newest_week(engine: Engine) -> None:
    _fill(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO sentiment.source (name, kind) VALUES ('old', 'file')")
        )
        connection.execute(
            sa.text("INSERT INTO sentiment.record (source_id, external_id, content_hash, text,"
                    " published_at, run_id)"
                    " VALUES (3, '1', decode(md5('x'), 'hex'), 'x', '2015-02-24', 1)")
        )  # fmt: skip
    rollup.fold(engine)
    found = {each.source: each for each in questions.standings(engine)}
    assert list(found) == ["a", "b", "old"]
    assert (found["old"].since, found["old"].until) == (date(2015, 2, 18), date(2015, 2, 25))
    for name in ("a", "b"):
        each = found[name]
        assert each.until == FIRST + timedelta(days=DAYS)
        scope = Scope(each.since, each.until, name)
        assert each.now == questions.total(questions.days(engine, scope))
        assert each.before == questions.total(questions.days(engine, scope.before()))


def test_groups_stand_in_one_order(stored: Engine) -> None:
    whole = Scope(FIRST, FIRST + timedelta(days=DAYS))
    for by in (None, "airline", "reason"):
        negative = [group.negative for group in questions.compared(stored, whole, by)]
        assert negative == sorted(negative, reverse=True)
        assert len(negative) > 1


@pytest.mark.parametrize("source", [None, "a"])
def test_a_search_in_an_order_gives_the_first_of_them_all(
    stored: Engine, source: str | None
) -> None:
    """And not of the newest that are looked at where a score is asked for besides."""
    search = partial(asked.search, stored, among=100)
    scope = Scope(FIRST, FIRST + timedelta(days=DAYS), source=source)
    for order in ("most-negative", "most-positive"):
        found = search(scope.records(order=order, limit=50))
        assert (found.among, found.at_most) == (None, 20)
        assert [row["polarity"] for row in found.rows] == truly(stored, scope, order, 20)
        assert search(scope.records(order=order, limit=5)).at_most is None
    oldest = search(scope.records(order="oldest", limit=30))
    everything = list(scores.ask(stored, scope.records(order="oldest", limit=None)))
    assert [row["moment"] for row in oldest.rows] == [row["moment"] for row in everything[:30]]
    assert oldest.among is None
    by_label = search(scope.records(order="oldest", label="positive", limit=5))
    assert by_label.among == 100
    assert by_label.rows[0]["moment"] < everything[100]["moment"], "of the oldest, then"
