"""`review`: records are drawn, people say what they mean, and the machine is measured by that."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text
from sqlalchemy import Engine

from worker import words
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
from worker.errors import ConfigurationError
from worker.insight import argilla, label_studio
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

KEYS = {"1": "negative", "2": "neutral", "3": "positive"}
HELP = "1 negative   2 neutral   3 positive   s skip   u undo   q stop"
SHOWN = 4_000
"""Characters of a text."""


class Tool(StrEnum):
    """Where people label, besides here."""

    LABEL_STUDIO = "label-studio"
    ARGILLA = "argilla"


_TITLES = {Tool.LABEL_STUDIO: "Label Studio", Tool.ARGILLA: "Argilla"}
_MODULES = {Tool.LABEL_STUDIO: label_studio, Tool.ARGILLA: argilla}

ToolOption = Annotated[Tool, typer.Option(help="The labelling tool.")]
SourceOption = Annotated[str, typer.Option("--source", "-s", help="Of this source.")]


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
    say(f"Drawn: {count:,} records of {source!r}. Next: sentiment-worker review next -s {source}")


@app.command("next", epilog="Example:  [bold]sentiment-worker review next --source reviews[/bold]")
def next_(
    source: SourceOption, config: ConfigOption = None, verbose: VerboseOption = False
) -> None:
    """Label the records of the newest draw, one key each; what the machine said is not shown.

    Labels are overrides: they count at once, and `override withdraw` takes one back. Without a
    terminal the keys are read from stdin, one a line; after s, the reason is the next line.
    """
    with reading_from(config, verbose=verbose, source=source) as engine:
        review = _newest(engine, source)
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
        review = reviews.newest(engine, source, judged=True) or _newest(engine, source)
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
        say(f"{several} judged by several people. {_agreed(found.agreement)}")
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


@app.command(
    epilog="Example:  [bold]sentiment-worker review export --source reviews > tasks.json[/bold]"
)
def export(
    source: SourceOption,
    tool: ToolOption = Tool.LABEL_STUDIO,
    interface: Annotated[
        bool, typer.Option("--interface", help="Print what sets up a project there instead.")
    ] = False,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Print what is left of the newest draw for another labelling tool; what the machine said is
    not among it. A new project there needs what --interface prints, too: Label Studio's labelling
    interface, or a few lines of Python that make Argilla's dataset."""
    if interface:
        typer.echo(_MODULES[tool].INTERFACE, nl=False)
        return
    with reading_from(config, verbose=verbose, source=source) as engine:
        review = _newest(engine, source)
        todo = [item for item in reviews.items(engine, review["id"]) if _is_open(item)]
    print_json(_MODULES[tool].tasks(review["id"], todo))
    say(
        f"{len(todo):,} records. Afterwards: sentiment-worker review import FILE -s {source}"
        + ("" if tool is Tool.LABEL_STUDIO else f" --tool {tool}")
    )


@app.command(
    "import",
    epilog="Example:  [bold]sentiment-worker review import labels.json --source reviews[/bold]",
)
def import_(
    file: Annotated[
        Path, typer.Argument(help="The tool's export, as JSON.", exists=True, dir_okay=False)
    ],
    source: SourceOption,
    tool: ToolOption = Tool.LABEL_STUDIO,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Take what people said in Label Studio or Argilla, as `review next` does; a second time
    changes nothing.

    Each person's label is kept; what more than half of them say counts, and a record on which they
    disagree stays open, for `review next`. How much they agree is told by Krippendorff's alpha: 1
    is full agreement, 0 chance; he asks for 0.67 at least.
    """
    answers = _MODULES[tool].answers(file.read_text(encoding="utf-8-sig", errors="replace"))
    with reading_from(config, verbose=verbose, source=source) as engine:
        _check_drawn(engine, source, answers)
        try:
            outcomes = Counter(_take(engine, answer, tool) for answer in answers)
        finally:
            rollup.fold(engine, wait=True)
    parts = (f"{outcomes[told]:,} {told}" for told in Told if outcomes[told] or told is Told.TAKEN)
    say(f"{len(answers):,} records: {', '.join(parts)}.")
    alpha = reviewing.agreement([list(answer.labels.values()) for answer in answers])
    if alpha is not None:
        say(_agreed(alpha))


class Told(StrEnum):
    """What became of a record of a file."""

    TAKEN = "taken"
    UNJUDGED = "not judged there"
    DISAGREED = "left open, for people disagree"
    TOO_LATE = "judged already, or rewritten at the source"


def _check_drawn(engine: Engine, source: str, answers: Sequence[reviewing.Answers]) -> None:
    """Raises ConfigurationError where a file tells of anything but drawn records of the source:
    numbers of another database would fit, and judge other records."""
    drawn = {
        (review_id, item["number"]): item
        for review_id in sorted({answer.review for answer in answers})
        for item in reviews.items(engine, review_id)
        if item["source"] == source
    }
    for answer in answers:
        item = drawn.get((answer.review, answer.number))
        if item is None or (item["text"] != answer.text and not item["rewritten"]):
            raise ConfigurationError(
                f"Record {answer.number} of draw {answer.review} is not what was drawn of"
                f" {source!r}. Nothing was taken.",
                hint="Is it the right file, source and database?",
            )


def _take(engine: Engine, answer: reviewing.Answers, tool: Tool) -> Told:
    if not answer.labels:
        return Told.UNJUDGED
    where = (engine, answer.review, answer.number)
    taken = [
        reviews.say(*where, label, by=f"{who[:200]} in {_TITLES[tool]}")
        for who, label in answer.labels.items()
    ]
    if not any(taken):
        return Told.TOO_LATE
    return Told.DISAGREED if len(set(answer.labels.values())) > 1 else Told.TAKEN


def _newest(engine: Engine, source: str) -> Mapping[str, Any]:
    """Raises ConfigurationError where nothing was drawn."""
    found = reviews.newest(engine, source)
    if found is None:
        raise ConfigurationError(
            f"Nothing of {source!r} was drawn yet.",
            hint=f"Begin with: sentiment-worker review draw --source {source} --n 200",
        )
    return found


def _is_open(item: Mapping[str, Any]) -> bool:
    return not (item["person_label"] or item["skipped_why"] or item["rewritten"])


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


def _agreed(alpha: float) -> str:
    return f"Agreement of those who judged the same records (Krippendorff's alpha): {alpha:.2f}"


def _told(found: reviewing.Share) -> str:
    return f"{found.value:.0%} ({found.low:.0%} to {found.high:.0%})"
