"""What a worker shows of itself: the metrics of a real database, health that tells the truth."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from tests.scripted_lambda import ScriptedLambda
from worker import bootstrap
from worker.errors import DatabaseUnavailable, Stuck
from worker.insight import drift
from worker.operate.worker import Worker
from worker.scoring.target import lambda_target
from worker.settings import Settings
from worker.stages import Stage, Stages
from worker.store import database
from worker.store.analytics import rollup
from worker.store.ledger import unusual
from worker.web import health, metrics
from worker.web.health import Pulse

Samples = dict[tuple[str, str], float]


def fetch(url: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(text: str) -> Samples:
    """By name and the value of its one label."""
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def shown(engine: Engine, scripted_lambda: ScriptedLambda) -> Iterator[str]:
    import asyncio

    settings = Settings(
        aws_endpoint_url_lambda=scripted_lambda.url, aws_region="local", http="127.0.0.1:0"
    )

    async def made() -> Worker:
        target = lambda_target(settings)
        async with bootstrap.open_worker(settings, engine, target) as worker:
            return worker

    about = (settings, asyncio.run(made()), Pulse(), drift.of_sources)
    with bootstrap.open_health(*about) as url:
        assert url
        yield url


def test_what_prometheus_reads(engine: Engine, shown: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("""
            INSERT INTO sentiment.source (name, kind)
                VALUES ('a "quoted" one', 'file'), ('b', 'sql');
            INSERT INTO sentiment.run (source_id, trigger, state, worker, finished_at, scored,
                throttled, failed) VALUES
                (1, 'schedule', 'done', 'w', to_timestamp(1700000000), 70, 2, 1),
                (1, 'schedule', 'missed', 'w', now(), 0, 0, 0);
            INSERT INTO sentiment.chunk (source_id, run_id, root_id, provisional, record_ids,
                content_hashes, created_at)
                VALUES (1, 1, 1, true, '{1,2}', repeat('x', 32)::bytea, now() - interval '1 hour');
            INSERT INTO sentiment.spend VALUES
                ((now() AT TIME ZONE 'UTC')::date, 1, 1, 1000, 50, 50, 10, 1024000);
            INSERT INTO sentiment.pause (source_id, reason, paused_by, until)
                VALUES (2, 'r', 'me', now() + interval '1 hour');
        """))  # fmt: skip
    status, text = fetch(shown, "/metrics")
    assert status == 200
    found = samples(text)
    one = 'a "quoted" one'
    assert found["sentiment_pending_records", one] == 2
    assert found["sentiment_provisional_records", one] == 2
    assert 3_500 < found["sentiment_oldest_pending_seconds", one] < 3_700
    assert found["sentiment_last_success_timestamp_seconds", one] == 1_700_000_000
    assert found["sentiment_scored_records_total", one] == 70
    assert found["sentiment_throttled_invocations_total", one] == 2
    assert found["sentiment_missed_runs_total", one] == 1
    assert found["sentiment_billed_gb_seconds_total", one] == 1
    assert found["sentiment_source_paused", "b"] == 1
    assert found["sentiment_cost_usd", "day"] == pytest.approx(0.0000166667 + 0.0002)
    assert found["sentiment_circuit", "closed"] == 1
    assert found["sentiment_concurrency_ceiling", ""] == 64
    assert {name for name, _ in found} >= {name for name, _ in metrics.GAUGES.values()}


def test_what_the_last_run_said_stands_while_the_next_one_runs(engine: Engine, shown: str) -> None:
    """Else an alert that asks for it over minutes would never fire."""
    with engine.begin() as connection:
        connection.execute(sa.text("""
            INSERT INTO sentiment.source (name, kind) VALUES ('a', 'sql');
            INSERT INTO sentiment.run
                (source_id, trigger, state, worker, started_at, warnings, waiting_s) VALUES
                (1, 'schedule', 'done', 'w', now() - interval '2 min', '{"rows wait"}', 240),
                (1, 'schedule', 'lost', 'w', now() - interval '1 min', NULL, NULL),
                (1, 'schedule', 'running', 'w', now(), NULL, NULL);
        """))  # fmt: skip
    found = samples(fetch(shown, "/metrics")[1])
    assert found["sentiment_unusual", "a"] == 1
    assert found["sentiment_source_waiting_seconds", "a"] == 240


def test_drift_is_shown_by_source_and_measure(engine: Engine, shown: str) -> None:
    """The newest seven days are in Spanish, and three times as long."""
    with engine.begin() as connection:
        connection.execute(sa.text("""
            INSERT INTO sentiment.source (name, kind) VALUES ('a', 'file'), ('few', 'file');
            INSERT INTO sentiment.run (source_id, trigger, state, worker)
            VALUES (1, 'once', 'done', 'w');
            INSERT INTO sentiment.record (run_id, source_id, external_id, text, content_hash,
                                          revision, published_at, language)
            SELECT 1, 1, n, repeat(CASE WHEN n % 2 = 0 THEN 'a good day ' ELSE 'un buen dia ' END,
                                CASE WHEN n % 2 = 0 THEN 1 ELSE 3 END),
                   decode(lpad(to_hex(n), 32, '0'), 'hex'), 1,
                   timestamptz '2026-03-10' + n * interval '1 min' + (n % 2) * interval '7 days',
                   CASE WHEN n % 2 = 0 THEN 'en' ELSE 'es' END
            FROM generate_series(1, 400) n;
        """))  # fmt: skip
    rollup.fold(engine)
    found = samples(fetch(shown, "/metrics")[1])
    assert found["sentiment_drift", "lengtha"] == 1
    assert found["sentiment_drift", "languagea"] == 1
    assert found["sentiment_drift", "vocabularya"] > 0.9
    assert ("sentiment_drift", "confidencea") not in found, "nothing is scored yet"


def test_health_tells_the_truth(engine: Engine, shown: str) -> None:
    assert fetch(shown, "/livez") == (200, "alive\n")
    assert fetch(shown, "/readyz") == (200, "ready\n")
    assert fetch(shown, "/")[0] == 404


def test_without_a_database_it_lives_and_is_not_ready(scripted_lambda: ScriptedLambda) -> None:
    gone = database.make_engine("postgresql://nobody@127.0.0.1:1/none", application="tests")

    def look() -> metrics.Seen:
        raise DatabaseUnavailable("gone")

    from worker.pipeline.circuit import Circuit
    from worker.pipeline.fanout import AdaptiveLimit, FanOut

    fanout = FanOut(None, AdaptiveLimit(4), Circuit())  # type: ignore[arg-type]  # never asked
    pulse = Pulse()

    stages = Stages()

    def ready() -> None:
        if hangs:
            raise Stuck("run 3 has waited 61 s")
        with database.transaction(gone):
            pass

    hangs: list[bool] = []
    app = health.application(
        pulse, ready, metrics.registry(look, lambda: [("reviews", "length", 0.25)], fanout, stages)
    )
    with health.serving("127.0.0.1:0", app) as url:
        assert url
        assert fetch(url, "/livez")[0] == 200
        status, words = fetch(url, "/readyz")
        assert status == 503
        assert "127.0.0.1" not in words
        with stages.under_way(Stage.READ, "run 3"):
            found = samples(fetch(url, "/metrics")[1])
        assert found["sentiment_stage_seconds", "read"] > 0
        assert found["sentiment_stage_seconds", "journal"] == 0
        hangs.append(True)
        assert fetch(url, "/readyz") == (503, "run 3 has waited 61 s\n")
        assert found["sentiment_database_up", ""] == 0
        assert found["sentiment_concurrency_ceiling", ""] == 4
        pulse._last = time.monotonic() - 60
        assert fetch(url, "/livez")[0] == 503
        with health.serving(url.removeprefix("http://"), app) as second:
            assert second is None, "the port is taken, and that is no reason to end"


def test_what_is_unlike_the_last_weeks(engine: Engine) -> None:
    runs = """
        INSERT INTO sentiment.source (name, kind) VALUES ('a', 'file');
        INSERT INTO sentiment.run (source_id, trigger, state, worker, read, new, started_at)
        SELECT 1, 'schedule', 'done', 'w', 100 + n % 7, 100 + n % 7, now() - n * interval '1 hour'
        FROM generate_series(1, :count) n
    """
    with engine.begin() as connection:
        for statement in runs.split(";"):
            connection.execute(sa.text(statement), {"count": 10} if ":" in statement else {})
    assert unusual.warnings(engine, 1, 0, 100_000) == [], "too little is known"
    with engine.begin() as connection:
        connection.execute(sa.text(runs.split(";")[1]), {"count": 100})
    assert unusual.warnings(engine, 1, 0, 103) == []
    assert "at most" in unusual.warnings(engine, 1, 0, 5_000)[0]
    assert "at least" in unusual.warnings(engine, 1, 0, 3)[0]
    with engine.begin() as connection:
        connection.execute(sa.text(
            "UPDATE sentiment.run SET started_at = started_at - interval '9 hours'"
        ))  # fmt: skip
    (silent,) = unusual.warnings(engine, 1, 0, 103)
    assert silent.startswith("nothing new for 10.")
