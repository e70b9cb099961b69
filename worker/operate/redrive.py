"""What of quarantine is tried again: records are sent, what holds a refused row is read, anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.records import Redrive


@dataclass(frozen=True, slots=True)
class Again:
    redrive: Redrive
    unread: int
    """Rows that stay: the source that they stand in is not configured, so nobody can read it."""

    @property
    def is_empty(self) -> bool:
        return not (self.redrive.partitions or self.redrive.record_ids)


def again(rows: Sequence[Mapping[str, Any]], *, is_configured: bool) -> Again:
    """Of rows of one source, as `store.reading.redrivable` gives them."""
    unread = [row for row in rows if row["stage"] == "read"]
    partitions = frozenset(row["partition"] for row in unread) if is_configured else frozenset()
    records = tuple(row["record_id"] for row in rows if row["record_id"] is not None)
    return Again(Redrive(partitions, records), 0 if is_configured else len(unread))
