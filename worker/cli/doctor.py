"""`doctor`: looks at everything a run needs, and says what to do for each failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import typer
from sqlalchemy import Engine

from worker import aws, bootstrap, words
from worker.cli.output import (
    DATA,
    STRAY_KEYS,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    settings_for,
)
from worker.errors import Exit, WorkerError
from worker.ports import CostlyToRead
from worker.records import Answer, FailureKind, Page, Position
from worker.scoring import textblob
from worker.scoring.aws_lambda import identify
from worker.scoring.target import LambdaTarget
from worker.settings import Settings
from worker.sources import kinds
from worker.sources.kinds import Opening
from worker.store import database, migrate
from worker.store.ledger import cursors

MARKS = {"ok": "[green]ok[/green]  ", "note": "[yellow]note[/yellow]", "failed": "[red]FAIL[/red]"}


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: str
    detail: str
    advice: str = ""
    exit_code: int = Exit.DONE


def register(app: typer.Typer) -> None:
    app.command(epilog="Example:  [bold]sentiment-worker doctor --config worker.toml[/bold]")(
        doctor
    )


def doctor(
    config: ConfigOption = None, output: OutputOption = Output.TABLE, verbose: VerboseOption = False
) -> None:
    """Check configuration, database, migrations, Lambda, model, TextBlob and sources."""
    findings = []
    for finding in _examine(config, verbose):
        findings.append(finding)
        if output is Output.TABLE:
            _print(finding)
    if output is Output.JSON:
        print_json([asdict(finding) for finding in findings])
    failed = [finding.exit_code for finding in findings if finding.state == "failed"]
    raise typer.Exit(failed[0] if failed else Exit.DONE)


def _examine(config: object, verbose: bool) -> Iterator[Finding]:
    try:
        loaded = settings_for(config, verbose=verbose, quiet=True)  # type: ignore[arg-type]
    except WorkerError as error:
        yield _failure("configuration", error)
        return
    yield Finding("configuration", "ok", str(loaded.file or "environment and defaults"))
    yield from _examine_database(loaded.settings)
    yield from _examine_identity(loaded.settings)
    yield from _examine_lambda(loaded.settings)
    yield _examine_textblob()
    yield from _examine_sources(loaded.settings)


def _examine_database(settings: Settings) -> Iterator[Finding]:
    try:
        with bootstrap.open_database(settings) as engine:
            kind = "yours" if settings.database_url else f"embedded under {settings.home}"
            yield Finding("database", "ok", f"{_version(engine)}, {kind}")
            try:
                migrate.require_current(engine)
            except WorkerError as error:
                yield _failure("migrations", error)
            else:
                yield Finding("migrations", "ok", _migrated(migrate.state(engine)))
                yield from _examine_session(engine)
    except WorkerError as error:
        yield _failure("database", error)


def _migrated(found: migrate.SchemaState) -> str:
    if found.is_tolerant:
        return f"at {found.current}, newer than this version's {found.head}, which it tolerates"
    return f"at {found.current}"


def _examine_session(engine: Engine) -> Iterator[Finding]:
    """What a DBA or a pooler may have taken from our sessions."""
    if database.shares_sessions(engine):
        yield Finding("sessions", "note", database.SHARED, database.SHARED_ADVICE)
    if not database.may_make_temporary_tables(engine):
        detail, advice = "this login may not make temporary tables", database.TEMPORARY_ADVICE
        yield Finding("sessions", "failed", detail, advice, Exit.MISUSED)


def _version(engine: Engine) -> str:
    with database.transaction(engine) as connection:
        return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar()}"


def _examine_lambda(settings: Settings) -> Iterator[Finding]:
    from worker.scoring.invoke import check_access, make_client  # boto3 is slow to import

    try:
        with bootstrap.open_lambda(settings) as target:
            if target is None:
                yield Finding(
                    "lambda", "ok", "not used: USE_LAMBDA_SENTIMENT=0, TextBlob by choice"
                )
                return
            client = make_client(target)
            refused = check_access(client, target)
            if refused:
                detail = f"{target}: {refused.code}"
                yield Finding("lambda", "failed", detail, refused.message, Exit.MISUSED)
                return
            yield Finding("lambda", "ok", f"{target} may be invoked", _moves(target))
            yield _examine_model(target)
    except WorkerError as error:
        yield _failure("lambda", error)


def _moves(target: LambdaTarget) -> str:
    """A name without a version or an alias calls whatever was deployed last."""
    unqualified = target.qualifier is None and target.function.count(":") in (0, 2, 6)
    if target.is_local or target.endpoint_url or not unqualified:
        return ""
    return "It calls $LATEST, which changes with each deployment; an alias (NAME:live) is safer."


def _examine_identity(settings: Settings) -> Iterator[Finding]:
    """As whom AWS is called, where it is called at all."""
    if not (settings.calls_aws or any(source.is_at_aws for source in settings.source)):
        return
    with_keys = settings.lambda_auth_method == "keys"
    advice = ""
    if not with_keys and aws.stray_keys(os.environ):
        advice = STRAY_KEYS
    from worker.scoring.invoke import classify  # boto3 is slow to import

    try:
        arn, region = aws.caller(settings.access)
    except WorkerError as error:
        yield _failure("aws", error)
    except Exception as error:  # noqa: BLE001  whatever the SDK raises is a finding
        failure, detail = classify(error), f"AWS does not say who we are: {aws.code_of(error)}"
        if failure.kind is FailureKind.MISCONFIGURED:
            yield Finding("aws", "failed", detail, failure.message, Exit.MISUSED)
        else:  # a network without a way to STS may well have one to Lambda
            advice = "Check that this machine can reach STS (sts.REGION.amazonaws.com)."
            yield Finding("aws", "note", detail, advice)
    else:
        how = "keys" if with_keys else "the standard chain"
        yield Finding("aws", "ok", f"{arn}, by {how}, in {region}", advice)


def _examine_model(target: LambdaTarget) -> Finding:
    outcome = asyncio.run(identify(target))
    if isinstance(outcome, Answer):
        named = f"{outcome.scorer.model} {outcome.scorer.version}"
        took = f"{outcome.duration_s * 1000:.0f} ms (cold or warm)"
        return Finding("model", "ok", f"{named}, {took}")
    advice = outcome.message or _ADVICE.get(outcome.code, "Its log says why.")
    return Finding("model", "failed", outcome.code, advice, Exit.DEGRADED)


_ADVICE = {"BadModel": "The function cannot load its model: look at its MODEL_DIR, and at its log."}


def _examine_textblob() -> Finding:
    opinion = textblob.opinion("I love this")
    if opinion is None or opinion.label != "positive":
        return Finding("textblob", "failed", "gives no sensible opinion",
                       "Reinstall the package textblob.", Exit.FAILED)  # fmt: skip
    return Finding("textblob", "ok", f"textblob {textblob.scorer_id().version}")


def _examine_sources(settings: Settings) -> Iterator[Finding]:
    known = _positions(settings)
    for config in settings.source:
        source = kinds.open_source(config, _opening(settings))
        check = f"source {config.name}"
        try:
            if isinstance(source, CostlyToRead):
                yield Finding(check, "ok", f"can be read; {source.backlog()}")
                continue
            pages = source.pages(known.get(config.name, {}))
            page = next(pages, None)
            if page is None and source.remark:
                yield Finding(check, "note", f"can be read, but {source.remark.what}")
                continue
        except WorkerError as error:
            yield _failure(check, error)
            continue
        yield Finding(check, "ok", f"can be read; {_next_page(page)}")


def _opening(settings: Settings) -> Opening:
    return Opening(
        settings.access, open_transcriber=partial(bootstrap.open_transcriber, settings, None)
    )


def _next_page(page: Page | None) -> str:
    if page is None:
        return "nothing is new"
    refused = f", and {len(page.refusals):,} are refused" if page.refusals else ""
    records = words.many(len(page.records), "record", "records")
    return f"its next page has {records}{refused}"


def _positions(settings: Settings) -> Mapping[str, Mapping[str, Position]]:
    """Where each source stands, as a run would go on; nothing of a database that is away."""
    with contextlib.suppress(WorkerError), bootstrap.open_database(settings) as engine:
        migrate.require_current(engine)
        return {source.name: cursors.known(engine, source.name) for source in settings.source}
    return {}


def _failure(check: str, error: WorkerError) -> Finding:
    return Finding(check, "failed", str(error), error.hint, error.exit_code)


def _print(finding: Finding) -> None:
    DATA.print(MARKS[finding.state], end=" ")
    DATA.print(f"{finding.check}: {finding.detail}", markup=False, soft_wrap=True)
    if finding.advice:
        DATA.print(f"     -> {finding.advice}", markup=False, soft_wrap=True)
