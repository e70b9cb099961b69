"""A partition's records keep their ids: the rule that made them is not changed under them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from worker.errors import ConfigurationError
from worker.records import CONTENT_ID, ROW_ID, Layout

_RULES = {CONTENT_ID: "derived from the row", ROW_ID: "the row's place in the file"}


def kept(layout: Layout, position: Mapping[str, Any]) -> Layout:
    """The layout with what a partition was read with before, where nobody says anything else."""
    known = position.get("identity")
    if not known:
        return layout
    return replace(layout, id=layout.id or known["id"], text=layout.text or known["text"])


def require_same(
    position: Mapping[str, Any], found: Mapping[str, str] | None, partition: str
) -> None:
    """Raises ConfigurationError where a partition was read with another id or text: each record
    would be stored a second time, or say something else, and nobody would have said so."""
    known = position.get("identity")
    if not known or not found or known == found:
        return
    where = partition or "This source"
    raise ConfigurationError(
        f"{where} was read with {_told(known)}; now it would be with {_told(found)}. Its records"
        " would be stored a second time, or hold other texts.",
        hint=f"Keep what there is: --id {known['id']} --text {known['text']} (id and text in a"
        " configured source). Or read it under another --name. Or begin anew: sentiment-worker"
        " sources remove NAME.",
    )


def _told(identity: Mapping[str, str]) -> str:
    rule = identity["id"]
    return f"ids {_RULES.get(rule, f'from {rule!r}')} and the text from {identity['text']!r}"
