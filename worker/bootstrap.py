"""The only place where real objects are built. Tests enter by the same door."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import Any

from sqlalchemy import URL, Engine

from worker import chunk
from worker.aws import Access
from worker.local import lambda_process, postgres
from worker.operate.worker import Worker
from worker.pipeline.circuit import Circuit
from worker.pipeline.fanout import AdaptiveLimit, FanOut, Shares
from worker.pipeline.judge import Judge
from worker.pipeline.policy import FallbackPolicy, Policy
from worker.pipeline.work import Parts
from worker.ports import Planner, Scorer, Tracer
from worker.records import Lane
from worker.scoring.aws_lambda import AwsLambdaScorer
from worker.scoring.target import LambdaTarget, lambda_target
from worker.scoring.textblob import TextBlobScorer, TextBlobStopgap, scorer_id
from worker.settings import Settings
from worker.speech import Transcriber, TranscriptionOptions
from worker.stages import Stages
from worker.store import database, migrate, reading, roles
from worker.store.journal.journal import PostgresJournal
from worker.store.ledger import spending, watching
from worker.store.ledger.runs import PostgresLedger
from worker.store.ledger.transcripts import Transcripts
from worker.tracing import OtlpTracer, SilentTracer
from worker.transcription.kept import KeptTranscriber, UnderWay
from worker.web import health, metrics
from worker.web.health import Pulse

QUESTION_S = 10.0
"""That a question of the page, or of an assistant, may take."""

QUESTIONS_AT_ONCE = 10

HELD_S = 600.0
"""How long a command that is no run may hold a source."""

WATCHING_TIMEOUT_S = 10.0
"""For a question of /metrics: Prometheus gives up after as long."""

_MARK = token_hex(3)
"""Of this process."""


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
        with _askers_own(url) as own:
            yield database.read_only(own, timeout_s=timeout_s, role=role)


@contextmanager
def open_reviewing(settings: Settings) -> Iterator[Engine]:
    """The database with a reviewer's rights: to read, and to judge records that were drawn. Raises
    ConfigurationError where the login has not got them."""
    with open_database(settings) as engine:
        migrate.require_current(engine)
        role = roles.to_review_as(engine)
        with _askers_own(engine.url) as own:
            yield database.limited(own, timeout_s=QUESTION_S, role=role)


@contextmanager
def _askers_own(url: URL) -> Iterator[Engine]:
    """Queries that find no free connection fail at once, so slow ones cannot block fast ones."""
    own = database.make_engine(
        url.render_as_string(hide_password=False),
        application=f"sentiment-worker questions {worker_name()}",
        pool_size=QUESTIONS_AT_ONCE,
        pool_timeout_s=2.0,
    )
    try:
        yield own
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


@contextmanager
def open_transcriber(
    settings: Settings,
    engine: Engine | None,
    source: str,
    options: TranscriptionOptions,
    under_way: UnderWay | None = None,
) -> Iterator[Transcriber]:
    """Turns a source's recordings into text; transcripts are kept in the database, if there is one.
    Raises ConfigurationError."""
    from worker.transcription.function import FunctionTranscriber  # boto3 is slow to import

    with contextlib.ExitStack() as stack:
        target = LambdaTarget(
            function=options.function,
            access=settings.access_to(options.function),
            endpoint_url=settings.aws_endpoint_url_lambda,
            timeout_s=options.timeout_s,
            max_concurrency=options.concurrency,
        )
        if options.is_local:
            url = stack.enter_context(lambda_process.transcription(timeout_s=options.timeout_s))
            target = replace(target, function=lambda_process.TRANSCRIPTION, access=Access("local"),
                             endpoint_url=url, is_local=True)  # fmt: skip
        patience_s = settings.database_patience_s
        kept = engine and Transcripts(engine, source, options.language, patience_s=patience_s)
        told = (kept.unusable_call,) if kept else ()
        function = FunctionTranscriber(target, options.language, *told)
        stack.callback(function.close)
        if options.is_local:
            function.warm_up()
        yield KeptTranscriber(function, kept, under_way or UnderWay()) if kept else function


@asynccontextmanager
async def open_worker(
    settings: Settings,
    engine: Engine,
    target: LambdaTarget | None,
    *,
    circuit: Circuit | None = None,
    planner: Planner | None = None,
) -> AsyncIterator[Worker]:
    """Everything that runs of this process share; `circuit` and `planner` in place of ours."""
    name = worker_name()
    stopgap = TextBlobStopgap()
    tracer: Tracer = SilentTracer() if settings.traces == "off" else OtlpTracer()
    scorer: Scorer = AwsLambdaScorer(target, tracer) if target else TextBlobScorer(stopgap)
    policy = _policy(settings)
    stages = Stages(settings.runs_at_once)
    limit = AdaptiveLimit(target.max_concurrency if target else 1)
    circuit = circuit or Circuit(window_s=policy.parked_s)
    cut = partial(chunk.plan, max_items=settings.chunk_texts, max_bytes=settings.chunk_bytes)
    owner = _owner(settings)
    parts = Parts(
        journal=PostgresJournal(
            engine,
            **owner,
            parked_s=policy.parked_s,
            overdue_s=settings.fallback_after_s,
            stages=stages,
        ),
        fanout=FanOut(scorer, limit, circuit, shares=Shares(settings.backfill_share)),
        judge=Judge(policy, stopgap, scorer_id()),
        planner=planner or cut,
        lease_s=settings.lease.total_seconds(),
        grace_s=settings.grace.total_seconds(),
        tracer=tracer,
        stages=stages,
    )
    try:
        transcriber = partial(open_transcriber, settings, engine, under_way=UnderWay(stages))
        yield Worker(name, parts, PostgresLedger(engine, **owner), engine, target, transcriber)
    finally:
        await scorer.close()
        await stopgap.close()
        await asyncio.to_thread(tracer.close)


@contextmanager
def open_health(
    settings: Settings,
    worker: Worker,
    pulse: Pulse,
    drift: Callable[[Engine, Collection[str]], metrics.Drift] = lambda engine, names: (),
) -> Iterator[str | None]:
    """Health and metrics over HTTP; gives their URL, None where they are not served. `drift` says
    how unlike those of before the newest records of the named sources are."""
    if settings.http == "off":
        yield None
        return
    names = {source.name for source in settings.source}
    # Connections of their own, and not for long: who scrapes must not hold up who works.
    own = database.unpooled(worker.engine, application=f"sentiment-worker watched {worker_name()}")
    engine = database.read_only(own, timeout_s=WATCHING_TIMEOUT_S)
    parts = worker.parts
    look = partial(_seen, engine, settings, names)
    moved = partial(drift, engine, names)
    seen = metrics.registry(look, moved, parts.fanout, parts.stages)

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


@contextmanager
def held_source(settings: Settings, engine: Engine, name: str) -> Iterator[int]:
    """The source's id, under its lock. Raises SourceBusy while a run holds it."""
    ledger = PostgresLedger(engine, **_owner(settings))
    source_id = reading.source_id(engine, name)
    with ledger.exclusive(Lane(source_id), f"the source {name!r}", hold_s=HELD_S):
        yield source_id


def _owner(settings: Settings) -> dict[str, Any]:
    """Who holds what, and how long it waits for the database."""
    return {
        "worker": worker_name(),
        "patience_s": settings.database_patience_s,
        "lease_s": settings.lease.total_seconds(),
    }


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
