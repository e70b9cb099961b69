"""Sources run one after another by a command that ends: with bars, a sentence each, a code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from worker import aws, bootstrap, words
from worker.cli import progress
from worker.cli.output import STRAY_KEYS, WORDS, say, say_error
from worker.errors import DatabaseUnavailable, Exit, WorkerError
from worker.operate.stopping import Stopper
from worker.operate.worker import Worker, look_back, pause_of, pull_work
from worker.pipeline.cycle import cycle
from worker.records import NOTHING_AGAIN, Redrive
from worker.settings import Settings
from worker.sources import kinds
from worker.sources.config import SourceConfig
from worker.sources.file import FileSourceConfig
from worker.sources.files.source import FileSource
from worker.sources.kinds import Opening
from worker.sources.rows.layout import ROW_ID
from worker.states import RunReport, RunState, StopReason, Trigger
from worker.store import migrate, reading
from worker.store.analytics import questions
from worker.store.ledger import cursors, pauses, spending, unusual
from worker.threads import in_a_thread

FILES_SHOWN = 5

WORST_FIRST = (
    Exit.MISUSED,
    Exit.DATABASE_UNREACHABLE,
    Exit.FAILED,
    Exit.OVER_BUDGET,
    Exit.SOURCE_BUSY,
    Exit.DEGRADED,
    Exit.QUARANTINED,
    Exit.DONE,
)
"""Of several sources, the worst ending is the command's."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One source's run."""

    name: str
    kind: str
    config: SourceConfig | None
    """What to read; None only works off what is pending."""
    trigger: str
    redrive: Redrive = NOTHING_AGAIN
    alike: bool = False
    """Refuse files that have different columns: nobody has said that they are one source."""


def run_all(settings: Settings, turns: Sequence[Turn]) -> tuple[list[RunReport], int]:
    """Run the turns; returns their reports and the command's exit code."""
    settings.require_scorer()
    if settings.database_url is None and not os.path.exists(settings.home):
        say(f"Starting PostgreSQL; its data will be in {settings.home} (the first time: seconds).")
    with bootstrap.open_database(settings) as engine:
        migrate.wait_until_current(engine, patience_s=settings.database_patience_s)
        with bootstrap.open_lambda(settings) as target:
            say(f"Scored by {bootstrap.scorer_named(target)}.")
            if has_stray_keys(settings):
                say(STRAY_KEYS, style="yellow")
            if target is not None:
                offer_rescore(engine, [turn.name for turn in turns])

            async def running() -> tuple[list[RunReport], int]:
                async with bootstrap.open_worker(settings, engine, target) as worker:
                    return await _one_after_another(worker, settings, turns)

            return asyncio.run(running())


async def _one_after_another(
    worker: Worker, settings: Settings, turns: Sequence[Turn]
) -> tuple[list[RunReport], int]:
    reports: list[RunReport] = []
    codes: list[int] = [Exit.DONE]
    stopper = Stopper(lambda: None)
    for turn in turns:
        if stopper.signal:
            break
        pausable = turn.config if turn.trigger == Trigger.ONCE else None
        if pausable and (pause := await asyncio.to_thread(pause_of, worker, pausable)):
            say(f"{turn.name!r} is paused {pauses.told(pause).removesuffix('.')}.")
            say(f"To end the pause: sentiment-worker schedule resume {turn.name}")
            continue
        try:
            report = await _run_one(worker, settings, turn, stopper)
        except WorkerError as error:
            say_error(error)
            codes.append(error.exit_code)
            continue
        reports.append(report)
        codes.append(report.exit_code)
    if stopper.signal:
        return reports, 128 + stopper.signal
    return reports, next(code for code in WORST_FIRST if code in codes)


async def _run_one(worker: Worker, settings: Settings, turn: Turn, stopper: Stopper) -> RunReport:
    tell = _Teller()
    empty_before = partial(unusual.empty_in_a_row, worker.engine, turn.name)
    opening = Opening(settings.access, tell, empty_before)
    source = kinds.open_source(turn.config, opening) if turn.config else None
    before = await asyncio.to_thread(cursors.known, worker.engine, turn.name)
    if turn.alike and isinstance(source, FileSource):
        await in_a_thread(partial(source.require_alike, before))
    size = await in_a_thread(source.size) if source and WORDS.is_terminal else None
    about = (turn.name, turn.kind, source, turn.trigger, turn.redrive)
    work = await asyncio.to_thread(pull_work, worker, settings, *about)
    with progress.bars(turn.name, size) as observer:
        report = await cycle(
            worker.parts, worker.ledger, work, observer=observer, on_start=stopper.watch
        )
    _tell(report)
    with contextlib.suppress(DatabaseUnavailable):  # the run itself has ended well
        for warning in await asyncio.to_thread(look_back, worker, work, report):
            say(f"Unusual: {warning}.", style="yellow")
        if source and not (source.remark and source.remark.found_nothing):
            await asyncio.to_thread(
                _tell_of_rows, worker, report, is_first=not before, again=_each_row(turn)
            )
    return report


class _Teller:
    """Says which columns were chosen; of many files alike it says so once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, sentence: str) -> None:
        choice = sentence.partition(": ")[2]
        if choice not in self._said:
            self._said.add(choice)
            say(sentence)


def _each_row(turn: Turn) -> str:
    """How to make each row of a file a record, after its first run."""
    if turn.trigger != Trigger.ONCE or not isinstance(turn.config, FileSourceConfig):
        return ""
    files = " ".join(os.path.basename(path) for path in turn.config.locations)
    if any(map(os.path.isdir, turn.config.locations)):
        return (
            " All files of a folder are one source. If two of them use the same ids for other"
            f" records: sentiment-worker sources remove {shlex.quote(turn.name)}, then once with"
            " the files' names, which makes each a source."
        )
    return (
        " If each row is a record of its own: sentiment-worker sources remove"
        f" {turn.name}, then once {files} --id {ROW_ID}."
    )


def _tell_of_rows(worker: Worker, report: RunReport, *, is_first: bool, again: str) -> None:
    """Why there are fewer records than rows, and whether they are stored twice."""
    c = report.counters
    if not c.read and report.state == RunState.DONE:
        empty = "There were no rows: the input is empty, or has only a header."
        nothing = "Nothing is new since the last run"
        nothing += "; what waited was scored." if c.scored else "."
        say(empty if is_first else nothing)
        if refused := questions.quarantine_size(worker.engine, report.source):
            left = words.many(refused, "row or file is", "rows or files are")
            say(
                f"{left} still in quarantine, not read: sentiment-worker quarantine list --source"
                f" {shlex.quote(report.source)}",
                style="yellow",
            )
    # Later runs meet rows of earlier ones again; which of those a file repeats, nobody counts.
    merged = c.duplicate + c.unchanged + c.changed if is_first else 0
    if merged:
        rows = words.many(merged, "row repeats", "rows repeat")
        say(f"{rows} an id; the last row of each id was kept.{again}")
    if c.new:
        for twice in reading.read_elsewhere(worker.engine, report.source, FILES_SHOWN):
            say(
                f"{twice['partition']} was read as the source {twice['source']!r} too:"
                f" {twice['shared']:,} of the {twice['records']:,} records of {report.source!r}"
                " have a text that is stored there as well, and count twice. To take one of the two"
                f" away: sentiment-worker sources remove {shlex.quote(report.source)}, or"
                f" {shlex.quote(twice['source'])}",
                style="yellow",
            )


def has_stray_keys(settings: Settings) -> bool:
    """Do keys in the environment win over the role that `iam` means?"""
    by_role = settings.calls_aws and settings.lambda_auth_method == "iam"
    return by_role and aws.stray_keys(os.environ)


def offer_rescore(engine: Engine, sources: Sequence[str]) -> None:
    """Back from USE_LAMBDA_SENTIMENT=0: what TextBlob scored by choice stays, unless it is asked
    for."""
    for source, count in spending.by_choice(engine, sources).items():
        records = words.many(count, "record", "records")
        say(
            f"TextBlob scored {records} of {source} while USE_LAMBDA_SENTIMENT was 0, and these"
            " scores are final. To let the model score them: sentiment-worker rescore plan"
            f" --source {source} --scorer textblob",
            style="yellow",
        )


def _tell(report: RunReport) -> None:
    """The run in a few sentences, on stderr."""
    c = report.counters
    parts = [f"{c.read:,} read", f"{c.new:,} new"]
    optional = {
        "changed": c.changed,
        "unchanged": c.unchanged,
        "repeated": c.duplicate,
        "without text": c.skipped,
        "in quarantine": c.quarantined + c.dead,
    }
    parts += [f"{n:,} {what}" for what, n in optional.items() if n]
    calls = f"{c.invocations:,} call{'s' if c.invocations != 1 else ''}"
    scored = f"{c.scored:,} scored by the model in {calls}"
    if c.provisional:
        scored += f", {c.provisional:,} provisionally by TextBlob"
    if c.undecided:
        scored += f", {c.undecided:,} that TextBlob cannot judge"
    say(f"{report.source}: {', '.join(parts)}; {scored}; {report.seconds:.1f} s.")
    if report.stop_reason == StopReason.SIGNAL:
        whole = c.scored + report.pending
        say(
            f"Stopped: {c.scored:,} of {whole:,} records that were read are scored,"
            f" {report.pending:,} wait. Run it again to go on.",
            style="yellow",
        )
    if report.error:
        say(report.error if report.error[-1] in ".?!" else f"{report.error}.", style="yellow")
        if report.hint:
            say(report.hint)
