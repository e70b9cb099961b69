"""`lambda tune`: what memory and what chunk size cost at a real endpoint, and which to take."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from worker import bootstrap, cost
from worker.aws import Access
from worker.cli.demo import SAMPLE
from worker.cli.output import (
    WORDS,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    print_rows,
    say,
    say_error,
    settings_for,
)
from worker.cli.planning import DryRunOption
from worker.cli.which import from_paths
from worker.errors import ConfigurationError, Exit
from worker.scoring.target import LambdaTarget
from worker.settings import Settings
from worker.sources import kinds
from worker.sources.kinds import Opening
from worker.tuning import Trial, recommend

DEFAULT_SIZES = (10, 25, 50, 100)
MAX_TEXTS = 1_000
COLUMNS = ("memory_mb", "texts", "call_ms", "longest_ms", "texts_per_s", "gb_s_per_1000",
           "per_1000_usd", "problem")  # fmt: skip

EXAMPLES = (
    "Examples:  [bold]sentiment-worker lambda tune[/bold]\n\n"
    "[bold]sentiment-worker lambda tune --texts reviews.csv --chunk 25 --chunk 50[/bold]\n\n"
    "[bold]LAMBDA_FUNCTION_NAME=sentiment sentiment-worker lambda tune --memory 1024 "
    "--memory 1769 --memory 3008[/bold]"
)


def tune(
    memory: Annotated[
        list[int] | None,
        typer.Option(
            min=128,
            max=10_240,
            help="MB; may be repeated. Without one the function is measured as it is, and nothing "
            "is changed.",
        ),
    ] = None,
    chunk: Annotated[
        list[int] | None,
        typer.Option(min=1, max=1000, help="Texts a call; may be repeated. Default: 10 25 50 100."),
    ] = None,
    calls: Annotated[int, typer.Option(min=3, max=100, help="Calls of each kind.")] = 5,
    texts: Annotated[
        str | None,
        typer.Option(help="A file of your texts, as `once` reads it. Default: the sample's."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Measure chunk sizes, and with --memory memory sizes, and recommend the cheapest that is fast.

    With --memory each size becomes a version of the function that is deleted again; aliases and
    what they serve are not touched. Calls cost money: it says how much, and asks.
    """
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    sizes = sorted(set(chunk or DEFAULT_SIZES))
    _check(settings, memory)
    sample = _texts(texts, settings.access)
    _announce(settings, memory, sizes, calls, len(sample))
    if dry_run:
        return
    if memory and not yes:
        typer.confirm("Go on?", abort=True, err=True)
    with bootstrap.open_lambda(settings, stores=False) as target:
        assert target is not None
        trials = _measured(target, memory, sizes, calls, sample)
    best = recommend(trials, prices=settings.prices, timeout_s=settings.lambda_timeout)
    _show(trials, best, settings, output)
    raise typer.Exit(Exit.DONE if best else Exit.FAILED)


def _check(settings: Settings, memory: Sequence[int] | None) -> None:
    if not settings.use_lambda_sentiment:
        raise ConfigurationError(
            "There is no Lambda to measure: USE_LAMBDA_SENTIMENT is 0.",
            hint="Set it to 1, with LAMBDA_FUNCTION_NAME for AWS's.",
        )
    if memory and settings.uses_local_lambda:
        raise ConfigurationError(
            "The local Lambda's processor does not follow its memory: there is nothing to compare.",
            hint="Leave --memory out, or set LAMBDA_FUNCTION_NAME to measure AWS's.",
        )


def _texts(path: str | None, access: Access) -> list[str]:
    """The first texts of a file, cleaned as a run would send them."""
    (config,) = from_paths([path or str(SAMPLE / "reviews.csv")], "tune", {})
    pages = kinds.open_source(config, Opening(access)).pages({})
    records = itertools.chain.from_iterable(page.records for page in pages)
    found = (record.text for record in records if record.skip_reason is None)
    texts = list(dict.fromkeys(itertools.islice(found, MAX_TEXTS)))
    if not texts:
        raise ConfigurationError(f"There is no text in {path}.")
    return texts


def _announce(
    settings: Settings,
    memory: Sequence[int] | None,
    sizes: Sequence[int],
    calls: int,
    different: int,
) -> None:
    kinds = max(1, len(memory or ()))
    invocations = kinds * (calls * len(sizes) + 1)
    estimated = cost.estimate(
        kinds * calls * sum(sizes), invocations,
        pace=cost.UNMEASURED, prices=settings.prices, concurrency=1,
    )  # fmt: skip
    where = settings.lambda_function_name or "the local Lambda"
    say(
        f"{invocations} calls to {where}, with {different} different texts; about"
        f" {estimated.cost_usd:.4f} USD at AWS."
    )
    if memory:
        say(
            f"Publishes {kinds} version{'s' if kinds > 1 else ''} of {where}, with"
            f" {', '.join(f'{mb} MB' for mb in memory)}, and deletes them. Do not deploy meanwhile."
        )
        if not settings.lambda_qualifier:
            say("Calls without a version or an alias have the memory that is measured meanwhile.")


def _measured(
    target: LambdaTarget,
    memory: Sequence[int] | None,
    sizes: Sequence[int],
    calls: int,
    texts: Sequence[str],
) -> list[Trial]:
    from worker.scoring import tune as measuring  # boto3 is slow to import

    trials: list[Trial] = []
    with WORDS.status("Measuring ...") as status:
        if not memory:
            return asyncio.run(measuring.measure(target, texts, sizes, calls))
        versions = measuring.Versions(target)
        for memory_mb in sorted(set(memory)):
            status.update(f"Measuring {memory_mb} MB ...")
            try:
                with versions.with_memory(memory_mb) as version:
                    found = asyncio.run(measuring.measure(version, texts, sizes, calls))
                    trials += [trial.at(memory_mb) for trial in found]
            except ConfigurationError as error:
                if not trials:
                    raise
                say_error(error)  # what was measured before it was paid for
                break
    return trials


def _show(trials: Sequence[Trial], best: Trial | None, settings: Settings, output: Output) -> None:
    rows = [_row(trial, settings) for trial in trials]
    if output is Output.JSON:
        print_json({"trials": rows, "recommended": _row(best, settings) if best else None})
    else:
        print_rows(rows, COLUMNS, output)
    if best is None:
        say("None of these can be recommended: see their problems, or raise the timeout.")
        return
    say(
        f"Take {best.memory_mb} MB and {best.texts} texts a call:"
        f" {best.usd_per_1000(settings.prices):.6f} USD for 1,000 texts, {best.texts_per_s:,.0f}"
        " texts a second in each environment."
    )
    say(f"At the worker: SENTIMENT_CHUNK_TEXTS={best.texts}")
    if not settings.uses_local_lambda:
        say(f"At the function: MEMORY_SIZE={best.memory_mb} lambda/deploy.sh deploy")


def _row(trial: Trial, settings: Settings) -> dict[str, Any]:
    measured = not trial.error
    return {
        "memory_mb": trial.memory_mb,
        "texts": trial.texts,
        "call_ms": trial.ms if measured else None,
        "longest_ms": max(trial.billed_ms) if measured else None,
        "texts_per_s": round(trial.texts_per_s, 1) if measured else None,
        "gb_s_per_1000": round(trial.gb_seconds_per_1000, 3) if measured else None,
        "per_1000_usd": round(trial.usd_per_1000(settings.prices), 6) if measured else None,
        "problem": trial.error,
    }
