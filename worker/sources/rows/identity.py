"""A partition's records keep their ids: the rule that made them is not changed under them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from worker.errors import ConfigurationError
from worker.records import BEFORE, Position
from worker.sources.rows.ids import USUAL
from worker.sources.rows.layout import CONTENT_ID, ROW_ID, Layout

_RULES = {CONTENT_ID: "ids derived from the row", ROW_ID: "the row's place in the file as its id"}
_COMPARED = ("id", "text")

ANY = ""
"""In place of the digest of columns, for rows that bring their columns with them."""


def columns_digest(names: Iterable[str]) -> str:
    """The same for files that have the same columns."""
    return blake2b(
        "\0".join(sorted(names)).encode("utf-8", "surrogatepass"), digest_size=6
    ).hexdigest()


def rules_in(positions: Mapping[str, Position]) -> dict[str, str]:
    """The rules of ids that a source's partitions were read with, by the columns that they have."""
    known = (position.get("identity") for position in positions.values())
    return {each["columns"]: each["id"] for each in known if each and "columns" in each}


def kept(layout: Layout, position: Position) -> Layout:
    """The layout with what a partition was read with before, where nobody says anything else."""
    known = position.get("identity")
    if not known:
        return layout
    return replace(layout, id=layout.id or known["id"], text=layout.text or known["text"])


def require_same(position: Position, found: Mapping[str, str] | None, partition: str) -> None:
    """Raises ConfigurationError where a partition was read with another id or text: each record
    would be stored a second time, or say something else, and nobody would have said so."""
    known = position.get("identity")
    if not known or not found:
        return
    if any(known[name] != found[name] for name in _COMPARED):
        _refuse(known, found, partition)
    if found["id"] == CONTENT_ID and known.get("columns") and known["columns"] != found["columns"]:
        raise ConfigurationError(
            f"{partition or 'This source'} has other columns than when it was read, and its ids are"
            " derived from the whole row: each record would be stored a second time.",
            hint="Read it under another --name. Or begin anew, with a column as the id (--id NAME)"
            " if there is one: sentiment-worker sources remove NAME.",
        )


def columns_in(positions: Mapping[str, Position]) -> dict[str, str]:
    """The digest of columns that each of a source's partitions was read with."""
    known = ((path, position.get("identity")) for path, position in positions.items())
    return {path: each["columns"] for path, each in known if each and "columns" in each}


def require_one_layout(columns: Mapping[str, str], name: str) -> None:
    """Raises ConfigurationError where files that nobody called one source have different columns.
    `columns`: the digest of each file's."""
    of_each = {digest: path for path, digest in sorted(columns.items(), reverse=True)}
    if len(of_each) < 2:
        return
    first, other = sorted(of_each.values())[:2]
    raise ConfigurationError(
        f"{first} and {other} have different columns, or other formats. As one source, equal ids in"
        " them would be the same record, and one would replace the other.",
        hint="Name the files instead, and each is a source of its own. If they are one source, name"
        f" it: --name {name}",
    )


def unkept(position: Position) -> Position | None:
    """Where a version that kept no identities had got to in a partition. None where it had not
    read it: at a first sight, or after a refusal of the whole."""
    left: Position = position.get(BEFORE) or position
    refused = not left.keys() - {"stamp", "layout"}
    return None if refused or "identity" in position else left


def require_same_as_unkept(
    position: Position,
    digest: Callable[[Layout], str],
    layout: Layout,
    columns: Iterable[str],
    partition: str,
) -> None:
    """The same for a partition that was read before identities were kept: its layout's digest tells
    which id it had been given, where nothing else has changed."""
    names = list(columns)
    usual = next((name for name in names if name.lower() in USUAL), CONTENT_ID)
    for said in (None, CONTENT_ID, ROW_ID, *names):
        if digest(replace(layout, id=said)) == position.get("layout"):
            before, now = said or usual, layout.id or usual
            if before != now:
                text = {"text": layout.text or ""}
                _refuse({"id": before} | text, {"id": now} | text, partition)


def _refuse(known: Mapping[str, Any], found: Mapping[str, Any], partition: str) -> None:
    keep = f"--id {known['id']}" + (f" --text {known['text']}" if known["text"] else "")
    raise ConfigurationError(
        f"{partition or 'This source'} was read with {_told(known)}; now it would be read with"
        f" {_told(found)}. Its records would be stored a second time, or hold other texts.",
        hint=f"To keep what there is: {keep} (id and text in a configured source). Or read it under"
        " another --name. Or begin anew: sentiment-worker sources remove NAME.",
    )


def _told(identity: Mapping[str, str]) -> str:
    rule = _RULES.get(identity["id"], f"ids from {identity['id']!r}")
    return f"{rule} and the text from {identity['text']!r}" if identity["text"] else rule
