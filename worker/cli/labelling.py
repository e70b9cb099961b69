"""`review export` and `review import`: records that are drawn here, and labelled elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from worker.cli.look import reading_from
from worker.cli.output import ConfigOption, VerboseOption, print_json, say
from worker.errors import ConfigurationError
from worker.insight import argilla, label_studio
from worker.insight import review as reviewing
from worker.store.analytics import reviews, rollup


class Tool(StrEnum):
    """Where people label, besides here."""

    LABEL_STUDIO = "label-studio"
    ARGILLA = "argilla"


_TITLES = {Tool.LABEL_STUDIO: "Label Studio", Tool.ARGILLA: "Argilla"}
_MODULES = {Tool.LABEL_STUDIO: label_studio, Tool.ARGILLA: argilla}

ToolOption = Annotated[Tool, typer.Option(help="The labelling tool.")]
SourceOption = Annotated[str, typer.Option("--source", "-s", help="Of this source.")]

EXPORT_EXAMPLE = (
    "Example:  [bold]sentiment-worker review export --source reviews > tasks.json[/bold]"
)
IMPORT_EXAMPLE = (
    "Example:  [bold]sentiment-worker review import labels.json --source reviews[/bold]"
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
        review = newest(engine, source)
        todo = [item for item in reviews.items(engine, review["id"]) if is_open(item)]
    print_json(_MODULES[tool].tasks(review["id"], todo))
    say(
        f"{len(todo):,} records. Afterwards: sentiment-worker review import FILE -s {source}"
        + ("" if tool is Tool.LABEL_STUDIO else f" --tool {tool}")
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
        say(agreed(alpha))


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
        reviews.say(*where, label, by=f"{who[:200]} in {_TITLES[tool]}", settled_too=True)
        for who, label in answer.labels.items()
    ]
    if not any(taken):
        return Told.TOO_LATE
    return Told.DISAGREED if len(set(answer.labels.values())) > 1 else Told.TAKEN


def newest(engine: Engine, source: str) -> Mapping[str, Any]:
    """Raises ConfigurationError where nothing was drawn."""
    found = reviews.newest(engine, source)
    if found is None:
        raise ConfigurationError(
            f"Nothing of {source!r} was drawn yet.",
            hint=f"Begin with: sentiment-worker review draw --source {source} --n 200",
        )
    return found


def is_open(item: Mapping[str, Any]) -> bool:
    return not (item["person_label"] or item["skipped_why"] or item["rewritten"])


def agreed(alpha: float) -> str:
    return f"Agreement of those who judged the same records (Krippendorff's alpha): {alpha:.2f}"
