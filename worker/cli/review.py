"""`review`: records are drawn, people say what they mean, and the machine is measured by that."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text
from sqlalchemy import Engine

from worker import words
from worker.cli import labelling
from worker.cli.labelling import SourceOption, agreed, newest
from worker.cli.look import period, reading_from
from worker.cli.output import (
    DATA,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    print_rows,
    say,
)
from worker.insight import review as reviewing
from worker.insight.wording import brief, legible
from worker.log import printable
from worker.operate.who import operator
from worker.store import reading
from worker.store.analytics import reviews, rollup

app = typer.Typer(
    help="Put a sample of records before people, and measure the machine by what they say.",
    no_args_is_help=True,
)

app.command(epilog=labelling.EXPORT_EXAMPLE)(labelling.export)
app.command("import", epilog=labelling.IMPORT_EXAMPLE)(labelling.import_)

KEYS = {"1": "negative", "2": "neutral", "3": "positive"}
HELP = "1 negative   2 neutral   3 positive   s skip   u undo   q stop"
SHOWN = 4_000
"""Characters of a text."""


@app.command(epilog="Example:  [bold]sentiment-worker review draw --source reviews --n 200[/bold]")
def draw(
    source: SourceOption,
    n: Annotated[int, typer.Option("--n", "-n", min=4, max=10_000, help="How many.")] = 200,
    people: Annotated[
        int, typer.Option(min=1, max=5, help="So many people judge each record.")
    ] = 1,
    since: Annotated[str | None, typer.Option(help="From this time on: 2026-01-31, 30d.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Draw records to be reviewed: half at random, for estimates; a quarter where the machine is
    least sure, and a quarter of every kind, to find its mistakes.

    With --people 2 each record goes to two people, and to a third where they disagree; `review
    report` then tells how much people agree.
    """
    start, end = period(since, until)
    with reading_from(config, verbose=verbose, source=source) as engine:
        source_id = reading.source_id(engine, source)
        review_id = reviews.draw(
            engine, source_id, n, by=operator(), people=people, since=start, until=end
        )
        count = len(reviews.items(engine, review_id))
    drawn = words.many(count, "record", "records")
    say(f"Drawn: {drawn} of {source!r}. Next: sentiment-worker review next -s {source}")


@app.command("next", epilog="Example:  [bold]sentiment-worker review next --source reviews[/bold]")
def next_(
    source: SourceOption, config: ConfigOption = None, verbose: VerboseOption = False
) -> None:
    """Label the records of the newest draw, one key each; what the machine said is not shown.

    Labels are overrides: they count at once, and `override withdraw` takes one back. Without a
    terminal the keys are read from stdin, one a line; after s, the reason is the next line.
    """
    with reading_from(config, verbose=verbose, source=source) as engine:
        review = newest(engine, source)
        todo = reviews.to_judge(engine, review["id"], operator())
        done: list[int] = []
        try:
            done = _label_all(engine, review["id"], todo, _keys())
        finally:
            rollup.fold(engine, wait=True)
    say(f"{len(done):,} done, {len(todo) - len(done):,} left. "
        f"See: sentiment-worker review report --source {source}")  # fmt: skip


@app.command(epilog="Example:  [bold]sentiment-worker review report --source reviews[/bold]")
def report(
    source: SourceOption,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """How often the machine is right, and what shares would be if people had counted: with 95 %
    intervals, from the random part of the newest draw alone."""
    with reading_from(config, verbose=verbose, source=source) as engine:
        review = reviews.newest(engine, source, judged=True) or newest(engine, source)
        about = (reviews.items(engine, review["id"]), reviews.judgements(engine, review["id"]))
        found = reviewing.findings(review, *about)
    if output is Output.JSON:
        print_json(asdict(found))
        return
    say(
        f"Drawn on {review['drawn_at']:%Y-%m-%d %H:%M} UTC{_of_time(review)}: {found.drawn:,}"
        f" records; {found.judged:,} judged ({found.at_random:,} of them drawn at random),"
        f" {found.skipped:,} skipped. What follows is estimated from those drawn at random."
    )
    if found.agreement is not None:
        several = words.many(found.judged_by_several, "record was", "records were")
        say(f"{several} judged by several people. {agreed(found.agreement)}")
    if not found.at_random:
        say(f"Nothing to estimate from yet: sentiment-worker review next --source {source}")
        return
    rows = [
        {"of": each.of, "judged": each.judged, "right": each.right, "accuracy": _told(each.share)}
        for each in found.accuracy
    ]
    print_rows(rows, ("of", "judged", "right", "accuracy"), output)
    for each in found.corrected:
        DATA.print(
            f"{each.counted:.0%} {each.label} as the machine counts;"
            f" {each.corrected.low:.0%} to {each.corrected.high:.0%} as people would.",
            soft_wrap=True,
        )


def _label_all(
    engine: Engine, review_id: int, todo: Sequence[Mapping[str, Any]], keys: Iterator[str]
) -> list[int]:
    """Numbers of the records that were dealt with."""
    at, done, by = 0, list[int](), operator()
    while at < len(todo):
        number = todo[at]["number"]
        if not reviews.is_open(engine, review_id, number, by):  # somebody else was here
            at += 1
            continue
        _show(todo[at]["text"], at, len(todo))
        key = next(keys, "q")
        if key in KEYS:
            if not reviews.say(engine, review_id, number, KEYS[key], by=by):
                say("It was passed over, or rewritten at its source, meanwhile.")
        elif key == "s":
            say("Why? (in a word or two)")
            if not reviews.skip(engine, review_id, number, _line(keys) or "no reason", by=by):
                say("Somebody has judged it meanwhile: it cannot be passed over.")
        elif key == "u" and done:
            at = next(n for n, item in enumerate(todo) if item["number"] == done[-1])
            reviews.undo(engine, review_id, done.pop(), by=by)
            continue
        elif key == "q":
            break
        else:
            continue
        done.append(number)
        at += 1
    return done


def _show(text: str, at: int, count: int) -> None:
    shown = printable(legible(brief(text, SHOWN)))
    DATA.print(Text(f"\n[{at + 1} of {count}] {shown}"), soft_wrap=True)
    if len(text) > SHOWN:
        say(f"(the first {SHOWN:,} of {len(text):,} characters)")
    say(HELP)


def _keys() -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    while True:
        yield typer.getchar()


def _line(keys: Iterator[str]) -> str:
    return input() if sys.stdin.isatty() else next(keys, "")


def _of_time(review: Mapping[str, Any]) -> str:
    """The period that a draw was made from, where it has one."""
    since, until = (review[name] and f"{review[name]:%Y-%m-%d}" for name in ("since", "until"))
    return (f" from {since}" if since else "") + (f" until {until}" if until else "")


def _told(found: reviewing.Share) -> str:
    return f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})"
