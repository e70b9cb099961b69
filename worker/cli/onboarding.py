"""`sources try` and `init`: from a place to a configured source."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import typer
from pydantic import ValidationError

from worker import bootstrap, log, urls, words
from worker.cli.output import (
    DATA,
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    print_json,
    print_rows,
    say,
    settings_for,
)
from worker.cli.progress import spoken
from worker.errors import ConfigurationError
from worker.operate.preview import Preview, Pricing, preview
from worker.scoring.target import expected_concurrency
from worker.settings import Settings
from worker.sources import kinds
from worker.sources.guess import guess
from worker.sources.kinds import Opening
from worker.sources.rows.layout import CONTENT_ID, ROW_ID

TEXT_SHOWN = 80
LEAST_USD = 0.0001
SECRETS = frozenset(
    ("password", "passwd", "sslpassword", "token", "access_token", "api_key", "apikey", "secret")
)
"""Parameters of an address that hold one."""

RULES = (CONTENT_ID, ROW_ID)
"""Ids that are no column: chosen anew where nothing else is said."""

FILE = Path("sentiment-worker.toml")

PlaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="PATH|URL",
        help="A file, glob, folder or s3:// place; the address of a feed, a JSON API or a queue of"
        " SQS; or a database's URL (postgresql://, mysql://, sqlite:///).",
    ),
]
TableOption = Annotated[str | None, typer.Option(help="Of a database: the table.")]
IdOption = Annotated[str | None, typer.Option(help="Column (or JMESPath) of the id.")]
TextOption = Annotated[str | None, typer.Option(help="Column (or JMESPath) of the text.")]
TimeOption = Annotated[str | None, typer.Option(help="Column (or JMESPath) of the time.")]
ZoneOption = Annotated[
    str | None, typer.Option(help="Zone of times that have none: UTC, Europe/Berlin.")
]
NameOption = Annotated[str | None, typer.Option(help="What to call it. Default: by the place.")]
PrivateOption = Annotated[
    list[str] | None,
    typer.Option("--allow-private", help="A host inside this network that may be asked."),
]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example:  [bold]sentiment-worker init 'exports/*.csv'[/bold]")(init)


def try_(
    place: PlaceArgument,
    name: NameOption = None,
    table: TableOption = None,
    id: IdOption = None,
    text: TextOption = None,
    time: TimeOption = None,
    timezone: ZoneOption = None,
    allow_private: PrivateOption = None,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Preview a source before adding it: which columns would be read and why, ten records, what
    would be refused, how many there are, and what the first full run would cost.

    Nothing is stored, and no database of ours is needed. Prints the [[source]] block to paste.
    """
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    block, found = _tried(
        settings, place, output, verbose=verbose, name=name, table=table, id=id, text=text,
        time=time, timezone=timezone, allow_private=allow_private,
    )  # fmt: skip
    if output is Output.JSON:
        print_json(_as_json(block, found))
        return
    _show(found, settings)
    DATA.print(f"\n{toml(block)}", markup=False, soft_wrap=True, highlight=False)


def init(
    place: PlaceArgument,
    name: NameOption = None,
    table: TableOption = None,
    id: IdOption = None,
    text: TextOption = None,
    time: TimeOption = None,
    timezone: ZoneOption = None,
    allow_private: PrivateOption = None,
    file: Annotated[Path, typer.Option(help="Where to write it.")] = FILE,
    verbose: VerboseOption = False,
) -> None:
    """Write the first sentiment-worker.toml: what `sources try` finds at a place.

    A file that is there already is not overwritten: `sources try` prints the block to add to it.
    """
    if os.path.lexists(file):
        raise ConfigurationError(
            f"{file} already exists.",
            hint=f"Print the block to add to it: sentiment-worker sources try {place!r}",
        )
    settings = settings_for(None, verbose=verbose, quiet=True).settings
    block, found = _tried(
        settings, place, Output.TABLE, verbose=verbose, name=name, table=table, id=id, text=text,
        time=time, timezone=timezone, allow_private=allow_private,
    )  # fmt: skip
    _show(found, settings)
    content = f"# Every key: sentiment-worker sources kinds, and docs/sources.md\n{toml(block)}"
    try:
        data = content.encode()
        with open(file, "xb") as written:
            written.write(data)
    except UnicodeEncodeError as error:
        raise ConfigurationError("The place has a name that is not UTF-8.") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from error
    say(f"Wrote {file}. Next: sentiment-worker once, or sentiment-worker serve")


def _tried(
    settings: Settings, place: str, output: Output, *, verbose: bool, **options: Any
) -> tuple[dict[str, Any], Preview]:
    """The block of a source, and what was seen of it."""
    said = {key: value for key, value in options.items() if value is not None}
    if not verbose:  # what was chosen is said in a sentence
        log.configure(level="error")
    guessed = guess(place, said)
    kind = kinds.find(guessed.kind)
    try:
        config = kind.config.model_validate({"kind": guessed.kind} | guessed.said)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-") if first["loc"] else "it"
        message = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigurationError(f"--{option}: {message}.") from None
    tell = say if output is Output.TABLE else kinds.unsaid
    for reason in guessed.why:
        tell(f"{config.name}: {reason}.")
    transcriber = partial(bootstrap.open_transcriber, settings, None)
    source = kinds.open_source(config, Opening(settings.access, tell, open_transcriber=transcriber))
    pricing = Pricing(settings.prices, expected_concurrency(settings), settings.chunk_texts)
    found = preview(source, pricing)
    chosen = {key: value for key, value in found.chosen.items() if value not in RULES}
    return {"kind": guessed.kind} | chosen | _without_password(guessed.said), found


def _without_password(said: Mapping[str, Any]) -> dict[str, Any]:
    """A database's URL with a password has no place in a file, nor on a screen."""
    url = str(said.get("url", ""))
    if "://" not in url:
        return dict(said)
    if url.startswith(("http://", "https://")):
        named = {key.lower() for key, _ in parse_qsl(urlsplit(url).query)}
        if secret := sorted(SECRETS & named)[:1]:
            raise ConfigurationError(
                f"The address has a secret in it ({secret[0]}), which every proxy on the way logs.",
                hint="Leave it out, and write it as `auth` in the source: see docs/sources.md.",
            )
        return dict(said)
    parsed = urls.parse(url, "The source's url")
    has_one = parsed.password is not None or bool(SECRETS & {key.lower() for key in parsed.query})
    return dict(said) | ({"url": "env://SOURCE_DATABASE_URL"} if has_one else {})


def toml(block: Mapping[str, Any]) -> str:
    """A `[[source]]` table. https://toml.io/en/v1.0.0"""
    ordered = {"name": block["name"], "kind": block["kind"], **block}
    lines = [f"{key} = {_quoted(value)}" for key, value in ordered.items()]
    return "\n".join(["[[source]]", *lines, ""])


def _quoted(value: object) -> str:
    """JSON's strings are TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _show(found: Preview, settings: Settings) -> None:
    if found.waiting:
        say(f"Queues are not previewed, because receiving takes messages; {found.waiting}.")
        return
    rows = [
        {
            "id": record.external_id,
            "time": record.published_at,
            "text": " ".join(record.text.split())[:TEXT_SHOWN] or f"({record.skip_reason})",
        }
        for record in found.sample
    ]
    if rows:
        print_rows(rows, ("id", "time", "text"), Output.TABLE)
        say("")
    for line in _told(found, settings):
        say(line)


def _told(found: Preview, settings: Settings) -> Sequence[str]:
    records = words.many(found.records, "record", "records")
    if found.is_whole:
        lines = [f"Found {records}."]
    else:
        about = f"; by its size there are about {found.about:,}" if found.about else ""
        lines = [f"Looked at the first {records}{about}; there are more."]
    if found.repeated:
        rows = words.many(found.repeated, "row has", "rows have")
        lines.append(f"{rows} the id of an earlier one: the last row of an id is kept.")
    if found.without_text:
        empty = words.many(found.without_text, "record has", "records have")
        lines.append(f"{empty} no text to score.")
    if found.refused:
        first = found.refusals[0]
        rows = words.many(found.refused, "row", "rows")
        lines.append(f"{rows} would go to quarantine; the first, {first.offset}: {first.reason}.")
    e = found.estimate
    of = "the first full run" if found.is_whole or found.about else "what was looked at"
    lines.append(
        f"For texts as long as tweets, {of} takes {words.many(e.invocations, 'call', 'calls')},"
        f" {_duration(e.duration_s)} and {_cost(e.cost_usd)} on Lambda (prices read on"
        f" {settings.prices.read_on}); longer texts take longer."
    )
    if found.reading_costs:
        lines.append("That is the scoring alone: transcribing takes calls of its own.")
    return lines


def _duration(seconds: float) -> str:
    return spoken(seconds) if seconds >= 1 else "less than a second"


def _cost(usd: float) -> str:
    return f"{usd:.4f} USD" if usd >= LEAST_USD else f"less than {LEAST_USD} USD"


def _as_json(block: Mapping[str, Any], found: Preview) -> dict[str, Any]:
    kept = {k: v for k, v in asdict(found).items() if k not in ("sample", "refusals")}
    sample = [
        {"id": r.external_id, "time": r.published_at, "text": r.text, "tags": r.tags}
        for r in found.sample
    ]
    refusals = [{"offset": r.offset, "reason": r.reason} for r in found.refusals]
    return {"source": dict(block), **kept, "sample": sample, "refusals": refusals}
