"""The only place where real objects are built. Tests enter by the same door."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import Any

from sqlalchemy import Engine

from worker import chunk
from worker.aws import Access
from worker.local import lambda_process, postgres
from worker.log import get_logger
from worker.pipeline.circuit import Circuit, CircuitState
from worker.pipeline.cycle import Work
from worker.pipeline.fanout import AdaptiveLimit, FanOut, Shares
from worker.pipeline.feed import SourceFeed, WindowFeed
from worker.pipeline.judge import Judge
from worker.pipeline.policy import FallbackPolicy, Policy
from worker.pipeline.run import Parts, StopReason
from worker.ports import Scorer, Source, Tracer
from worker.records import NOTHING_AGAIN, Lane, Redrive, RunReport
from worker.scoring.aws_lambda import AwsLambdaScorer
from worker.scoring.target import LambdaTarget
from worker.scoring.textblob import TextBlobScorer, TextBlobStopgap, scorer_id
from worker.selection import ChunkSizes
from worker.settings import LOCAL_FUNCTION, FileSourceConfig, Settings, SqlSourceConfig
from worker.sources.columns import Columns, told
from worker.sources.files import FileSource
from worker.sources.ids import IdRule
from worker.sources.sql import SqlSource, SqlTarget
from worker.stages import Stages
from worker.store import database, migrate, reading, roles
from worker.store.journal.journal import PostgresJournal
from worker.store.ledger import backfills, spending, unusual, watching
from worker.store.ledger.runs import PostgresLedger
from worker.tracing import OtlpTracer, SilentTracer
from worker.web import health, metrics
from worker.web.health import Pulse

log = get_logger(__name__)

AWS_CONCURRENCY = 64

QUESTION_S = 10.0
"""That a question of the page, or of an assistant, may take."""

QUESTIONS_AT_ONCE = 10

WATCHING_TIMEOUT_S = 10.0
"""For a question of /metrics: Prometheus gives up after as long."""

Tell = Callable[[str], None]
"""Says a sentence to a person."""


def unsaid(sentence: str) -> None:
    """For where nobody watches."""


_MARK = token_hex(3)
"""Of this process."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that can run sources."""

    parts: Parts
    ledger: PostgresLedger
    engine: Engine
    target: LambdaTarget | None
    """None for TextBlob by choice."""


@contextmanager
def open_database(settings: Settings) -> Iterator[Engine]:
    """The database that was named, or the embedded one, started and migrated.

    A database that the user named is never migrated silently: `require_current` says so.
    """
    application = f"sentiment-worker {worker_name()}"
    if settings.database_url is not None:
        engine = database.make_engine(
            settings.database_url.get_secret_value(), application=application
        )
        try:
            yield engine
        finally:
            engine.dispose()
        return
    with postgres.running(settings.home) as url:
        engine = database.make_engine(url, application=application)
        try:
            found = migrate.state(engine)
            if not (found.is_current or found.is_tolerant):
                migrate.upgrade(engine)
            yield engine
        finally:
            engine.dispose()


@contextmanager
def open_questions(settings: Settings, *, timeout_s: float = QUESTION_S) -> Iterator[Engine]:
    """The database for questions alone, with the analyst's rights. Raises ConfigurationError where
    the login may do more than that, and cannot do with less."""
    with open_database(settings) as engine:
        migrate.require_current(engine)
        if settings.database_url is None:
            url, role = engine.url.set(username=roles.asker(engine)), None
        else:
            url, role = engine.url, roles.to_ask_as(engine)
        # Who has no turn is told so at once: slow questions must not hold up the quick ones.
        own = database.make_engine(
            url.render_as_string(hide_password=False),
            application=f"sentiment-worker questions {worker_name()}",
            pool_size=QUESTIONS_AT_ONCE,
            pool_timeout_s=2.0,
        )
        try:
            yield database.read_only(own, timeout_s=timeout_s, role=role)
        finally:
            own.dispose()


def revive_database(settings: Settings) -> None:
    """The embedded database has only us to start it again; one that was named has others."""
    if settings.database_url is None:
        postgres.revive(settings.home)


@contextmanager
def open_lambda(settings: Settings, *, stores: bool = True) -> Iterator[LambdaTarget | None]:
    """The Lambda to call: AWS's, or a local one started for this; None for TextBlob by choice.

    Where its scores are stored, raises ConfigurationError if a database is named and no function.
    """
    if stores:
        settings.require_scorer()
    if not settings.use_lambda_sentiment:
        yield None
    elif settings.uses_local_lambda:
        with lambda_process.running(
            concurrency=settings.local_environments, timeout_s=settings.lambda_timeout
        ) as url:
            yield lambda_target(settings, local_url=url)
    else:
        yield lambda_target(settings)


@asynccontextmanager
async def open_worker(
    settings: Settings, engine: Engine, target: LambdaTarget | None
) -> AsyncIterator[Worker]:
    """Everything that runs of this process share."""
    name = worker_name()
    patience = settings.database_patience_s
    stopgap = TextBlobStopgap()
    tracer: Tracer = SilentTracer() if settings.traces == "off" else OtlpTracer()
    scorer: Scorer = AwsLambdaScorer(target, tracer) if target else TextBlobScorer(stopgap)
    policy = _policy(settings)
    stages = Stages(settings.runs_at_once)
    circuit = Circuit(window_s=policy.parked_s)
    ceiling = target.max_concurrency if target else 1
    parts = Parts(
        journal=PostgresJournal(
            engine,
            worker=name,
            lease_s=settings.lease.total_seconds(),
            patience_s=patience,
            parked_s=policy.parked_s,
            overdue_s=settings.fallback_after_s,
            stages=stages,
        ),
        fanout=FanOut(
            scorer, AdaptiveLimit(ceiling), circuit, shares=Shares(settings.backfill_share)
        ),
        judge=Judge(policy, stopgap, scorer_id()),
        planner=partial(chunk.plan, max_items=settings.chunk_texts, max_bytes=settings.chunk_bytes),
        lease_s=settings.lease.total_seconds(),
        grace_s=settings.grace.total_seconds(),
        tracer=tracer,
        stages=stages,
    )
    try:
        ledger = PostgresLedger(
            engine, worker=name, patience_s=patience, lease_s=settings.lease.total_seconds()
        )
        yield Worker(parts, ledger, engine, target)
    finally:
        await scorer.close()
        await stopgap.close()
        await asyncio.to_thread(tracer.close)


def pull_work(
    worker: Worker,
    settings: Settings,
    name: str,
    kind: str,
    source: Source | None,
    trigger: str,
    redrive: Redrive = NOTHING_AGAIN,
) -> Work:
    """A run of a source from its cursors on, or (`source` None) of what is pending of it."""
    source_id = worker.ledger.source_id(name, kind)
    if isinstance(source, FileSource):
        source.empty_before = partial(unusual.empty_in_a_row, worker.engine, source_id)
    parts = worker.parts
    feed = SourceFeed(
        *(parts.journal, parts.planner, source_id, source, redrive), expect=parts.fanout.expect
    )
    supervise = partial(_over_budget, worker.engine, settings)
    limited = settings.budget_daily or settings.budget_monthly
    return Work(name, Lane(source_id), feed, trigger, supervise if limited else None)


def backfill_work(worker: Worker, settings: Settings, row: Mapping[str, Any]) -> Work:
    """A run of a backfill, as `store.backfills.get` gives it."""
    lane = Lane(row["source_id"], row["id"])
    sizes = ChunkSizes(row["plan"]["chunk_texts"], row["plan"]["chunk_bytes"])
    circuit = worker.parts.fanout.circuit
    is_closed = partial(_is_closed, circuit)
    feed = WindowFeed(worker.parts.journal, sizes.planner(), lane, is_closed)
    supervise = partial(_backfill_stops, worker.engine, settings, lane, row["max_cost"])
    # TextBlob by choice has versions of its own.
    version = row["selection"]["target_version"] if worker.target else None
    return Work(row["source"], lane, feed, "backfill", supervise, version=version)


@contextmanager
def open_health(settings: Settings, worker: Worker, pulse: Pulse) -> Iterator[str | None]:
    """Health and metrics over HTTP; gives their URL, None where they are not served."""
    if settings.http == "off":
        yield None
        return
    names = {source.name for source in settings.source}
    # Connections of their own, and not for long: who scrapes must not hold up who works.
    own = database.unpooled(worker.engine, application=f"sentiment-worker watched {worker_name()}")
    engine = database.read_only(own, timeout_s=WATCHING_TIMEOUT_S)
    parts = worker.parts
    seen = metrics.registry(partial(_seen, engine, settings, names), parts.fanout, parts.stages)

    def ready() -> None:
        parts.stages.require_moving()
        watching.answers(engine)

    app = health.application(pulse, ready, seen)
    with health.serving(settings.http, app) as url:
        yield url


def _seen(engine: Engine, settings: Settings, names: Collection[str]) -> metrics.Seen:
    """Of the sources that are configured: nobody should be woken for a file that was read once."""
    return metrics.Seen(
        [row for row in watching.sources(engine) if not names or row["source"] in names],
        *spending.spent(engine, settings.prices),
        *watching.backfills(engine),
    )


def look_back(worker: Worker, work: Work, report: RunReport) -> list[str]:
    """What of a run that pulled is unlike the last weeks, or remarked by its source: logged, and
    kept with it."""
    if work.trigger not in ("schedule", "once") or report.state not in unusual.STATES:
        return []
    c = report.counters
    found = unusual.warnings(worker.engine, work.lane.source_id, report.run_id, c.new + c.changed)
    if remark := work.feed.remark:
        found.append(remark.what)
    if found:
        worker.ledger.warn(report.run_id, found, remark.waiting_s if remark else None)
        log.warning("run.unusual", run=report.run_id, source=work.name, why=found)
    return found


@contextmanager
def held_source(settings: Settings, engine: Engine, name: str) -> Iterator[int]:
    """The source's id, under its lock. Raises SourceBusy while a run holds it."""
    ledger = PostgresLedger(
        engine,
        worker=worker_name(),
        patience_s=settings.database_patience_s,
        lease_s=settings.lease.total_seconds(),
    )
    source_id = reading.source_id(engine, name)
    with ledger.exclusive(Lane(source_id), f"the source {name!r}"):
        yield source_id


def close_backfill(worker: Worker, lane: Lane, stop_reason: str | None = None) -> None:
    """Say of a backfill whose run has ended, or never began, what it is now.

    One that stopped at its own limit, or by a signal, is paused; at a budget of the day or month it
    goes on by itself when that is over; of one that was cancelled nothing stays open.
    """
    engine, by, backfill_id = worker.engine, worker_name(), lane.backfill_id
    reasons = {
        StopReason.MAX_COST: "its --max-cost is spent",
        StopReason.SIGNAL: "its process was told to stop",
        StopReason.VERSION: "the function answers with another model version than is wanted",
    }
    backfills.finish(engine, lane, by=by)  # it may have come to its end all the same
    if stop_reason in reasons:
        reason = reasons[StopReason(stop_reason)]
        running = ("running",)
        backfills.transition(
            engine, backfill_id, "paused", by=by, reason=reason, from_states=running
        )
    elif stop_reason is StopReason.BUDGET:
        backfills.explain(engine, backfill_id, "the budget of the day or month is spent")
    if backfills.state_of(engine, backfill_id) == "cancelled":
        backfills.revoke_leases(engine, lane, state="cancelled")


def _is_closed(circuit: Circuit) -> bool:
    return circuit.state is CircuitState.CLOSED


def _backfill_stops(
    engine: Engine, settings: Settings, lane: Lane, max_cost: float | None
) -> StopReason | None:
    """Why a backfill should stop now: a person's word, its own limit, or everybody's."""
    if (state := backfills.state_of(engine, lane.backfill_id)) != "running":
        return StopReason.CANCELLED if state == "cancelled" else StopReason.PAUSED
    spent = spending.spent_by_backfill(engine, lane, settings.prices)
    if max_cost is not None and spent >= max_cost:
        return StopReason.MAX_COST
    return _over_budget(engine, settings)


def _over_budget(engine: Engine, settings: Settings) -> StopReason | None:
    """The budgets of all sources together, by the day and month of UTC."""
    daily, monthly = settings.budget_daily, settings.budget_monthly
    if daily is None and monthly is None:
        return None
    today, month = spending.spent(engine, settings.prices)
    over = (daily is not None and today >= daily) or (monthly is not None and month >= monthly)
    return StopReason.BUDGET if over else None


def lambda_target(settings: Settings, *, local_url: str | None = None) -> LambdaTarget:
    return LambdaTarget(
        function=LOCAL_FUNCTION if local_url else settings.lambda_function_name or LOCAL_FUNCTION,
        access=Access("local") if local_url else settings.access,
        qualifier=None if local_url else settings.lambda_qualifier,
        endpoint_url=local_url or settings.aws_endpoint_url_lambda,
        timeout_s=settings.lambda_timeout,
        max_concurrency=expected_concurrency(settings),
        is_local=local_url is not None,
    )


def scorer_named(target: LambdaTarget | None) -> str:
    """Who scores, for a person."""
    return str(target) if target else "TextBlob by choice (USE_LAMBDA_SENTIMENT=0)"


def expected_concurrency(settings: Settings) -> int:
    """Calls under way at most."""
    if not settings.use_lambda_sentiment:
        return 1
    default = settings.local_environments if settings.uses_local_lambda else AWS_CONCURRENCY
    return settings.max_concurrency or default


def open_source(
    config: FileSourceConfig | SqlSourceConfig, access: Access, tell: Tell = unsaid
) -> Source:
    """The source that a configuration describes; nothing is read or connected yet. `access` is for
    what lies at AWS; `tell` is told, in sentences, which columns were chosen."""
    if isinstance(config, FileSourceConfig):
        return FileSource(
            config.name,
            config.locations,
            config.layout,
            access=access,
            chosen=lambda *choice: _columns_chosen(config.name, tell, *choice),
            encoding=config.encoding,
            delimiter=config.delimiter,
            may_be_empty=config.empty == "warn",
        )
    target = SqlTarget(
        url=config.url.get_secret_value(),
        table=config.table,
        query=config.query,
        cursor=config.cursor,
        tie_breaker=config.tie_breaker,
        overlap=config.overlap,
        timeout_s=config.timeout.total_seconds(),
    )
    return SqlSource(config.name, target, config.layout)


def _columns_chosen(
    source: str, tell: Tell, rule: IdRule, file: str, columns: Columns, available: Sequence[str]
) -> None:
    log.info(
        "columns.chosen",
        of=source,
        file=file,
        text=columns.text,
        id=columns.id or rule.rule,
        time=columns.time or "none",
    )
    tell(told(rule, file, columns, available))


def worker_name() -> str:
    """Who holds a lease: this process, and no other. In a container the process id is 1 in every
    replica, and long names of pods differ at their end; PostgreSQL keeps 63 bytes of it."""
    return f"{socket.gethostname()[-24:]}-{os.getpid()}-{_MARK}"


def _policy(settings: Settings) -> Policy:
    return Policy(
        fallback=FallbackPolicy(settings.fallback_after_s),
        max_attempts=settings.max_attempts,
        parked_s=settings.circuit_window.total_seconds(),
    )
