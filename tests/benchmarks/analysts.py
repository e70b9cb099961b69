"""What an analyst waits for, on five million scores.

    make bench-analysts            (about five minutes, 4 GB of disk under the temporary folder)

Records of ten sources over a year, made by SQL (words by Zipf's law, so that some are frequent and
some rare), in the embedded PostgreSQL as a laptop has it (128 MB of shared buffers). Each question
is asked by the analyst's role, six times; the first is shown as cold, of the others the median.
The plans are written to build/analysts-explain.txt.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.dialects import postgresql

from worker import log
from worker.local import postgres
from worker.store import database, migrate, search
from worker.store.analytics import rollup, scores

EXPLAINED = Path(__file__).parents[2] / "build" / "analysts-explain.txt"
TIMES = 6

_WORD = "'word' || floor(exp(random() * ln(50000)))::int"
_FILL = (
    """
    INSERT INTO sentiment.source (name, kind)
    SELECT 'source ' || n, 'file' FROM generate_series(1, 10) n
    """,
    """
    INSERT INTO sentiment.scorer (provider, model, version, promoted_at)
    VALUES ('lambda', 'm', '1', now())
    """,
    # Four words out of 50,000, by Zipf's law.
    f"""
    INSERT INTO sentiment.record (source_id, external_id, content_hash, text, published_at, tags,
                                  run_id)
    SELECT 1 + n % 10, n::text, decode(md5(n::text), 'hex'),
           concat_ws(' ', 'it was', {", ".join([_WORD] * 4)}),
           timestamptz '2025-01-01' + n::float8 / :records * interval '365 days',
           jsonb_build_object('product', 'p' || n % 5), 1
    FROM generate_series(1, :records) n
    """,
    """
    INSERT INTO sentiment.score (record_id, content_hash, scorer_id, label, score, polarity,
                                 chunk_id, run_id)
    SELECT id, content_hash, 1, (ARRAY['positive', 'neutral', 'negative'])[1 + id % 3], 0.9,
           (id % 200 - 100) / 100.0, 1, 1
    FROM sentiment.record
    """,
    "ANALYZE sentiment.record",
    "ANALYZE sentiment.score",
)

_NEWEST = "ORDER BY moment DESC LIMIT 100"
_ONE = "SELECT * FROM analytics.current_sentiment WHERE source_id = analytics.source_id('source 3')"

QUESTIONS = (
    (
        "a year by day and source",
        50,
        "SELECT * FROM analytics.daily_sentiment ORDER BY source, day",
    ),
    ("the most recent 100 of a source", 20, f"{_ONE} {_NEWEST}"),
    *(
        (
            f"full text, {what}, in one source, newest 100",
            200,
            f"{_ONE} AND analytics.matches(text, '{words}') {_NEWEST}",
        )
        for what, words in (
            ("a rare word", "word49123"),
            ("a word in a thousand", "word400"),
            ("a word in ten", "word3"),
            ("two words", "word30 word45"),
        )
    ),
)

_YEAR = {"since": date(2025, 1, 1), "until": date(2026, 1, 1)}
_EXTREMES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("of a year, all sources", _YEAR),
    ("of a year, one value of a tag", _YEAR | {"tag": ("product", "p1")}),
    ("of a week, one source", {**_YEAR, "since": date(2025, 12, 25), "source": "source 3"}),
)


def _most_negative(scope: dict[str, Any]) -> str:
    chosen = scores.outermost("most-negative", 10, **scope)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(chosen.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


QUESTIONS += tuple(
    (f"the 10 most negative records {what}", 50, _most_negative(scope)) for what, scope in _EXTREMES
)


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    log.configure(level="error")
    print(__doc__)
    print(f"{platform.platform()}, {os.cpu_count()} cores; {records:,} scores")
    with tempfile.TemporaryDirectory(prefix="sentiment-analysts-") as home:
        Path(home).chmod(0o755)
        with postgres.running(Path(home)) as url:
            engine = database.make_engine(url, application="benchmark")
            migrate.upgrade(engine)
            prepare(engine, records)
            plans = [_ask(engine, *question) for question in QUESTIONS]
            engine.dispose()
    EXPLAINED.parent.mkdir(exist_ok=True)
    EXPLAINED.write_text("\n\n".join(plans) + "\n", encoding="utf-8")


def prepare(engine: Engine, records: int) -> None:
    for sql in _FILL:
        with database.transaction(engine) as connection:
            connection.execute(sa.text(sql), {"records": records} if ":records" in sql else {})
    started = time.perf_counter()
    blocks = rollup.fold(engine)
    seconds = time.perf_counter() - started
    print(f"rolled up: {blocks} blocks, {records / seconds:,.0f} records/s")
    with database.transaction(engine) as connection:
        connection.execute(sa.text("UPDATE sentiment.record SET author = 'x' WHERE id = 1"))
    started = time.perf_counter()
    rollup.fold(engine)
    print(f"one record touched: rolled up in {(time.perf_counter() - started) * 1000:.0f} ms")
    started = time.perf_counter()
    search.switch(engine, wanted=True)
    print(f"db search on: {time.perf_counter() - started:.0f} s")
    with engine.connect() as connection:
        plain = connection.execution_options(isolation_level="AUTOCOMMIT")
        plain.exec_driver_sql("VACUUM ANALYZE")


def _ask(engine: Engine, what: str, wanted_ms: int, sql: str) -> str:
    times = []
    with database.transaction(engine) as connection:
        connection.exec_driver_sql("SET LOCAL ROLE sentiment_analyst")
        for _ in range(TIMES):
            started = time.perf_counter()
            rows = len(connection.exec_driver_sql(sql).all())
            times.append((time.perf_counter() - started) * 1000)
        plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS OFF) {sql}").scalars().all()
    median = statistics.median(times[1:])
    print(f"{what}: {median:.1f} ms (cold {times[0]:.0f}; wanted {wanted_ms}), {rows:,} rows")
    return "\n".join([f"-- {what}: {median:.1f} ms", f"{sql};", *plan])


if __name__ == "__main__":
    main()
