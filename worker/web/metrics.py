"""Metrics for Prometheus: what waits, what failed, what it costs; by source and by nothing that
grows without bound. No record's text, no id of a record, no error's text is a label.

What the database knows is asked when it is scraped, so a worker that has nothing to do tells the
truth too; what only this process knows (the limit, the circuit) is read where it stands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.errors import WorkerError
from worker.pipeline.circuit import CircuitState
from worker.pipeline.fanout import FanOut
from worker.stages import Stages

Row = Mapping[str, Any]

T = TypeVar("T")

Drift = Sequence[tuple[str, str, float]]
"""Source, measure and size: see `worker.insight.drift`."""

DRIFT_CACHE_S = 600.0
"""Drift is asked of records, and moves in days."""

CACHE_S = 5.0
"""Several scrapers cost the database one look in so many seconds."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database says, in one look."""

    sources: Sequence[Row]
    """Keys: `GAUGES` and `COUNTERS` of each source, and `source`."""
    spent_today: float
    spent_month: float
    backfills_running: int
    backfill_records_left: int


GAUGES = {
    "pending": ("sentiment_pending_records", "Records that wait for the model."),
    "oldest_pending_s": ("sentiment_oldest_pending_seconds", "Age of the oldest of them; 0: none."),
    "provisional": (
        "sentiment_provisional_records",
        "Of them, those that TextBlob was asked about.",
    ),
    "quarantined": ("sentiment_quarantined_rows", "Rows and records in quarantine."),
    "last_success": (
        "sentiment_last_success_timestamp_seconds",
        "When a run last read the source to its end; 0: never.",
    ),
    "paused": ("sentiment_source_paused", "1 while a person has paused the source."),
    "waiting_s": (
        "sentiment_source_waiting_seconds",
        "How long a transaction is open behind which rows of the source wait.",
    ),
    "unusual": ("sentiment_unusual", "1 if the last run was unlike the last four weeks."),
}

COUNTERS = {
    "scored": ("sentiment_scored_records", "Records scored by the model."),
    "invocations": ("sentiment_invocations", "Calls of the Lambda."),
    "throttled": ("sentiment_throttled_invocations", "Calls that were throttled."),
    "failed": ("sentiment_failed_invocations", "Calls without a usable answer."),
    "gb_seconds": ("sentiment_billed_gb_seconds", "By report line, or at most."),
    "unreported": ("sentiment_unreported_invocations", "Calls that brought no report line."),
    "missed_runs": (
        "sentiment_missed_runs",
        "Times at which it should have run and did not.",
    ),
}


class WorkerCollector(Collector):
    """Asks `look` when it is scraped; where that fails, `sentiment_database_up` is 0 and the
    process still shows what it knows itself."""

    def __init__(
        self,
        look: Callable[[], Seen],
        drift: Callable[[], Drift],
        fanout: FanOut,
        stages: Stages,
    ) -> None:
        self._seen = _Kept(look, CACHE_S)
        self._drift = _Kept(drift, DRIFT_CACHE_S)
        self._fanout = fanout
        self._stages = stages

    def collect(self) -> Iterator[Metric]:
        yield from self._own()
        try:
            seen, drift = self._seen(), self._drift()
        except WorkerError:
            yield _gauge("sentiment_database_up", "1 if the database answers.", 0)
            return
        yield _gauge("sentiment_database_up", "1 if the database answers.", 1)
        yield from _by_source(seen.sources)
        moved = GaugeMetricFamily(
            "sentiment_drift",
            "How unlike the newest records of seven days are those of the seven days before, by"
            " measure, from -1 to 1; 0: alike.",
            labels=["source", "measure"],
        )
        for source, measure, size in drift:
            moved.add_metric([source, measure], size)
        yield moved
        cost = GaugeMetricFamily("sentiment_cost_usd", "At the prices set.", labels=["period"])
        cost.add_metric(["day"], seen.spent_today)
        cost.add_metric(["month"], seen.spent_month)
        yield cost
        yield _gauge("sentiment_backfills_running", "Backfills applied.", seen.backfills_running)
        left = seen.backfill_records_left
        yield _gauge("sentiment_backfill_pending_records", "Records that they still hold.", left)

    def _own(self) -> Iterator[Metric]:
        fanout = self._fanout
        yield _gauge("sentiment_concurrency_limit", "Calls at once, now.", fanout.limit.current)
        yield _gauge("sentiment_concurrency_ceiling", "At most.", fanout.limit.ceiling)
        yield _gauge("sentiment_calls_under_way", "Calls under way.", fanout.under_way)
        circuit = GaugeMetricFamily("sentiment_circuit", "1 for its state.", labels=["state"])
        for state in CircuitState:
            circuit.add_metric([state.value], float(fanout.circuit.state is state))
        yield circuit
        waits = "How long what is under way longest in a stage has taken."
        stages = GaugeMetricFamily("sentiment_stage_seconds", waits, labels=["stage"])
        for stage, seconds in self._stages.longest().items():
            stages.add_metric([stage.value], seconds)
        yield stages


class _Kept(Generic[T]):
    """What was asked, kept for a while; one asks at a time."""

    def __init__(self, ask: Callable[[], T], for_s: float) -> None:
        self._ask = ask
        self._for_s = for_s
        self._found: tuple[float, T] | None = None
        self._one_asks = threading.Lock()

    def __call__(self) -> T:
        with self._one_asks:
            now = time.monotonic()
            if self._found is None or now - self._found[0] > self._for_s:
                self._found = (now, self._ask())
            return self._found[1]


def registry(
    look: Callable[[], Seen], drift: Callable[[], Drift], fanout: FanOut, stages: Stages
) -> CollectorRegistry:
    made = CollectorRegistry(auto_describe=False)
    made.register(WorkerCollector(look, drift, fanout, stages))
    return made


def _by_source(rows: Iterable[Row]) -> Iterator[Metric]:
    found = list(rows)
    for key, (name, words) in GAUGES.items():
        gauge = GaugeMetricFamily(name, words, labels=["source"])
        for row in found:
            gauge.add_metric([row["source"]], float(row[key] or 0))
        yield gauge
    for key, (name, words) in COUNTERS.items():
        counter = CounterMetricFamily(name, words, labels=["source"])
        for row in found:
            counter.add_metric([row["source"]], float(row[key] or 0))
        yield counter


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=float(value))
