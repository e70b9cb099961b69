"""`report`: a period against the one before, on a terminal or as a document to be mailed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from worker.cli.days import (
    DaysOption,
    FirstDayOption,
    TagOption,
    UntilDayOption,
    scope_named,
)
from worker.cli.look import SourceOption, reading_from
from worker.cli.output import (
    DATA,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    cell,
    needing,
    print_json,
    say,
)
from worker.errors import ConfigurationError
from worker.insight import report as documents
from worker.insight import saying, typeset, wording
from worker.insight import summary as summaries
from worker.insight.report import Quote, Report, Share
from worker.insight.saying import Compared
from worker.insight.summary import Summary
from worker.store.analytics.questions import RANKED
from worker.store.analytics.tallies import Day

BAR = 30
STYLES = {
    "positive": ("blue", "▒"),
    "neutral": ("bright_black", "·"),
    "negative": ("yellow", "█"),
}
"""The colour and the fill of each label."""
MAX_DAYS = 45
TERMS = 12

EXAMPLES = (
    "Examples:  [bold]sentiment-worker report --source reviews --days 30[/bold]\n\n"
    "[bold]sentiment-worker report --html report.html --pdf report.pdf[/bold]   (mailed by cron)"
)


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(report)


def report(
    config: ConfigOption = None,
    source: SourceOption = None,
    since: FirstDayOption = None,
    until: UntilDayOption = None,
    days: DaysOption = None,
    tag: TagOption = None,
    to_html: Annotated[
        Path | None, typer.Option("--html", help="One file that opens without a network.")
    ] = None,
    to_pdf: Annotated[Path | None, typer.Option("--pdf", help="A4.")] = None,
    to_png: Annotated[Path | None, typer.Option("--png", help="One tall picture.")] = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """How a period was against the one before, what moved it, and how far to trust it.

    Files need the extra `charts`.
    """
    files = {"html": to_html, "pdf": to_pdf, "png": to_png}
    wanted = {kind: path for kind, path in files.items() if path is not None}
    with reading_from(config, verbose=verbose, source=source) as engine:
        scope = scope_named(engine, source, since, until, days, tag)
        summary = summaries.summarise(engine, scope)
        compared = None
        if summary.now.records:  # the headings say: negative records and the others
            compared = saying.compare(engine, scope, against="labels", most=TERMS)
        if wanted:
            write(engine, summary, compared, wanted)
    if output is Output.JSON:
        terms = [asdict(term) for term in compared.terms] if compared else []
        print_json(documents.as_json(summary) | {"terms": terms})
    elif not wanted:
        DATA.print(render(summary, compared))


def write(
    engine: Engine, summary: Summary, compared: Compared | None, files: Mapping[str, Path]
) -> None:
    """Each kind into its file. Raises ConfigurationError where one cannot be written, or an extra
    is missing."""
    with needing("charts"):
        from worker.insight.charts import named

        names = named.chosen(summary.scope)
        pictures = [named.picture(engine, summary.scope, name) for name in names]
        document = documents.compose(summary, datetime.now(UTC), pictures, compared)
        made = {path: typeset.RENDERERS[kind](document) for kind, path in files.items()}
    for path, content in made.items():
        try:
            path.write_bytes(content)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
        say(f"The report is in {path}.")


def render(summary: Summary, compared: Compared | None = None) -> RenderableType:
    """The same for a terminal."""
    scope = summary.scope
    said = documents.compose(summary, datetime.now(UTC), compared=compared)
    newest: list[RenderableType] = [_newest(said), Text()] if said.newest else []
    if not summary.now.records:
        none = f"No record is of {wording.spoken(scope.since, scope.until)}."
        return Group(*newest, Text(none))
    parts: list[RenderableType] = [
        *newest,
        Text(f"{said.title}, {said.period}", "bold"),
        Text(said.verdict),
        Text(),
        _figures(said),
        Text(),
        _shares(summary),
        Text(),
        _trend(summary.days),
    ]
    for tag, shares in said.upset.items():
        parts += [Text(), _upset(tag, shares)]
    parts += [Text(note, "dim") for note in said.notes]
    if said.said_more:
        parts += [Text(), _said_more(said)]
    if said.movers:
        parts += [Text(), _movers(said)]
    if said.lowest:
        parts += [Text(), _lowest(said.lowest)]
    parts += [Text(), Text("\n".join(said.trust), "dim")]
    return Group(*parts)


def _figures(said: Report) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for figure in said.figures:
        table.add_row(figure.name, Text(figure.value, "bold"), Text(figure.note, "dim"))
    return table


def _newest(said: Report) -> Table:
    table = Table(
        title="Every source, with its own newest week", title_justify="left", box=None,
        pad_edge=False,
    )  # fmt: skip
    for name in documents.NEWEST_COLUMNS:
        table.add_column(name, justify="left" if name in ("source", "newest week") else "right")
    for source, *numbers in said.newest:
        table.add_row(cell(source), *numbers)
    return table


def _shares(summary: Summary) -> Table:
    table = Table(title=f"Share by label ({RANKED})", title_justify="left", box=None,
                  pad_edge=False)  # fmt: skip
    table.add_column("source")
    for label, (style, fill) in STYLES.items():
        table.add_column(f"{label} {fill}", justify="right", style=style)
    table.add_column()
    for group in summary.sources:
        shares = [getattr(group, label) / (group.scored or 1) for label in STYLES]
        table.add_row(cell(group.name), *(f"{share:.0%}" for share in shares), _stack(shares))
    return table


def _stack(shares: Sequence[float]) -> Text:
    """Each label has its own fill: a pipe, and many terminals, have no colours."""
    bar = Text()
    for share, (style, fill) in zip(shares, STYLES.values(), strict=True):
        bar.append(fill * round(share * BAR), style)
    return bar


def _trend(days: Sequence[Day]) -> Table:
    marked = "; ░ has provisional scores" if any(day.provisional for day in days) else ""
    table = Table(
        title=f"Net polarity by day (-1 negative to +1 positive{marked})",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("day")
    table.add_column("records", justify="right")
    table.add_column("net", justify="right")
    table.add_column()
    if len(days) > MAX_DAYS:
        table.caption = f"the last {MAX_DAYS} of {len(days)} days"
    for day in days[-MAX_DAYS:]:
        bar = _lean(day.net, bool(day.provisional))
        table.add_row(str(day.day), f"{day.records:,}", wording.signed(day.net), bar)
    return table


def _lean(polarity: float | None, provisional: bool) -> Text:
    """A bar that leans left of the middle for negative, right of it for positive."""
    half = BAR // 2
    if polarity is None:
        return Text(" " * half + "│")
    length = min(half, round(abs(polarity) * half))
    block = ("░" if provisional else "█") * length
    if polarity < 0:
        return Text.assemble(" " * (half - length), (block, STYLES["negative"][0]), "│")
    return Text.assemble(" " * half, "│", (block, STYLES["positive"][0]))


def _upset(tag: str, shares: Sequence[Share]) -> Table:
    table = Table(
        title=f"What was negative, by {tag}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column(tag)
    for name in documents.UPSET_COLUMNS:
        table.add_column(name, justify="right")
    for name, *numbers in shares:
        table.add_row(cell(name), *numbers)
    return table


def _said_more(said: Report) -> Table:
    table = Table(
        title="What negative records say more", title_justify="left", box=None, pad_edge=False,
        caption=said.said_of, caption_justify="left",
    )  # fmt: skip
    for name in documents.TERMS_COLUMNS:
        table.add_column(name, justify="left" if name == "term" else "right")
    for term, *numbers in said.said_more:
        table.add_row(cell(term), *numbers)
    return table


def _movers(said: Report) -> Table:
    table = Table(title="What moved it", title_justify="left", box=None, pad_edge=False)
    table.add_column("moved by", justify="right")
    for name in ("of", "group", "now", "before"):
        table.add_column(name)
    for mover in said.movers:
        table.add_row(mover.moved, mover.kind, cell(mover.name), mover.now, mover.before)
    return table


def _lowest(quotes: Sequence[Quote]) -> Table:
    table = Table(title="Most negative", title_justify="left", box=None, pad_edge=False)
    table.add_column("polarity", justify="right", style=STYLES["negative"][0])
    for name in ("source", "id", "text"):
        table.add_column(name)
    for quote in quotes:
        table.add_row(quote.polarity, cell(quote.source), cell(quote.external_id), cell(quote.text))
    return table
