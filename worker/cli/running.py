"""What a command that runs sources shows of them: bars, a sentence each, an exit code."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Engine

from worker import aws, bootstrap, words
from worker.cli import progress
from worker.cli.output import STRAY_KEYS, WORDS, say, say_error
from worker.errors import Exit, WorkerError
from worker.operate.scanning import scan
from worker.operate.turns import Turn, TurnSummary, one_after_another
from worker.ports import Observer
from worker.scoring.target import scorer_named
from worker.settings import Settings
from worker.sources.config import SourceConfig
from worker.sources.file import FileSourceConfig
from worker.sources.kinds import Opening
from worker.sources.rows.layout import ROW_ID
from worker.states import RunReport, RunState, StopReason, Trigger
from worker.store import migrate
from worker.store.ledger import pauses, spending

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


def run_all(settings: Settings, turns: Sequence[Turn]) -> tuple[list[RunReport], int]:
    """Run the turns; returns their reports and the command's exit code."""
    settings.require_scorer()
    if settings.database_url is None and not os.path.exists(settings.home):
        say(f"Starting PostgreSQL; its data will be in {settings.home} (the first time: seconds).")
    with bootstrap.open_database(settings) as engine:
        migrate.wait_until_current(engine, patience_s=settings.database_patience_s)
        with bootstrap.open_lambda(settings) as target:
            say(f"Scored by {scorer_named(target)}.")
            if has_stray_keys(settings):
                say(STRAY_KEYS, style="yellow")
            if target is not None:
                offer_rescore(engine, [turn.name for turn in turns])

            async def running() -> tuple[list[RunReport | WorkerError], int]:
                async with bootstrap.open_worker(settings, engine, target) as worker:
                    return await one_after_another(worker, settings, turns, _Reporter())

            outcomes, stopped_by = asyncio.run(running())
    reports = [outcome for outcome in outcomes if isinstance(outcome, RunReport)]
    return reports, _code(outcomes, stopped_by)


def scan_once(settings: Settings, source: SourceConfig, most: float | None) -> RunReport:
    """Mark what a source has no more; see `worker.operate.scanning`."""
    with bootstrap.open_database(settings) as engine:
        migrate.wait_until_current(engine, patience_s=settings.database_patience_s)

        async def running() -> RunReport:
            async with bootstrap.open_worker(settings, engine, None) as worker:
                return await scan(worker, source, Opening(settings.access), most)

        return asyncio.run(running())


def _code(outcomes: Sequence[RunReport | WorkerError], stopped_by: int) -> int:
    if stopped_by:
        return 128 + stopped_by
    codes = [Exit.DONE, *(outcome.exit_code for outcome in outcomes)]
    return next(code for code in WORST_FIRST if code in codes)


class _Reporter:
    """`worker.operate.turns.Reporter` on stderr; a choice of columns that many files share is said
    once."""

    def __init__(self) -> None:
        self.wants_size = WORDS.is_terminal
        self._said: set[str] = set()

    def chosen(self, sentence: str) -> None:
        choice = sentence.partition(": ")[2]
        if choice not in self._said:
            self._said.add(choice)
            say(sentence)

    def paused(self, turn: Turn, pause: Mapping[str, Any]) -> None:
        say(f"{turn.name!r} is paused {pauses.told(pause).removesuffix('.')}.")
        say(f"To end the pause: sentiment-worker schedule resume {turn.name}")

    def refused(self, turn: Turn, error: WorkerError) -> None:
        say_error(error)

    def watching(self, turn: Turn, size: int | None) -> AbstractContextManager[Observer]:
        self._said.clear()
        return progress.bars(turn.name, size)

    def ended(self, ending: TurnSummary) -> None:
        _tell(ending.report)
        for warning in ending.warnings:
            say(f"Unusual: {warning}.", style="yellow")
        if ending.looked:
            _tell_of_rows(ending)


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


def _tell_of_rows(ending: TurnSummary) -> None:
    """Why there are fewer records than rows, and whether they are stored twice."""
    report = ending.report
    c = report.counters
    if not c.read and report.state == RunState.DONE:
        empty = "There were no rows: the input is empty, or has only a header."
        nothing = "Nothing is new since the last run"
        nothing += "; what waited was scored." if c.scored else "."
        say(empty if ending.is_first else nothing)
        if ending.in_quarantine:
            left = words.many(ending.in_quarantine, "row or file is", "rows or files are")
            say(
                f"{left} still in quarantine, not read: sentiment-worker quarantine list --source"
                f" {shlex.quote(report.source)}",
                style="yellow",
            )
    # Later runs meet rows of earlier ones again; which of those a file repeats, nobody counts.
    merged = c.duplicate + c.unchanged + c.changed if ending.is_first else 0
    if merged:
        rows = words.many(merged, "row repeats", "rows repeat")
        say(f"{rows} an id; the last row of each id was kept.{_each_row(ending.turn)}")
    for twice in ending.read_elsewhere:
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
