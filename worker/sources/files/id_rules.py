"""How the rows of each file of a source become records: files alike are read alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from worker.log import get_logger
from worker.records import Position
from worker.sources.files.storage import Blob
from worker.sources.rows import identity, ids
from worker.sources.rows.columns import Columns
from worker.sources.rows.layout import CONTENT_ID, ROW_ID, Layout
from worker.sources.rows.mapping import RecordMaker, told

log = get_logger(__name__)


class IdRules:
    """Remembers by which rule ids were chosen, by the columns that a file has."""

    def __init__(
        self,
        source: str,
        layout: Layout,
        digest: Callable[[Layout], str],
        tell: Callable[[str], None],
    ) -> None:
        self._source = source
        self._layout = layout
        self._digest = digest
        self._tell = tell
        self._rules: dict[str, str] = {}

    def remember(self, positions: Mapping[str, Position], blobs: Sequence[Blob]) -> None:
        """What earlier runs chose. Raises ConfigurationError where two files of one name would
        give their rows the same ids."""
        self._rules |= identity.rules_in(positions)
        if self._layout.id == ROW_ID:
            ids.require_different_names({*positions, *(blob.path for blob in blobs)})

    def of(
        self,
        blob: Blob,
        known: Position,
        columns: Sequence[str],
        rows: Iterable[Mapping[str, Any]],
    ) -> RecordMaker:
        """How rows of this file become records: as before, where it was read before; else with an
        id's rule that its first rows allow."""
        layout = identity.kept(self._layout, known)
        if (unkept := identity.unkept(known)) is not None:
            rows = ()  # read by a version that did not look at them: ids stay derived
            identity.require_same_as_unkept(unkept, self._digest, self._layout, columns, blob.path)
        # JSON lines have the columns that come: those of a source are alike.
        of = identity.columns_digest(columns) if blob.format != "jsonl" else identity.ANY
        usual = self._rules.get(of)
        if usual not in (None, CONTENT_ID, ROW_ID, *columns):
            usual = None
        found = ids.choose(layout.id or usual, columns, rows, blob.name)
        self._rules[of] = found.rule
        layout = replace(layout, id=found.rule)
        return RecordMaker(layout, columns, file=blob.name, chosen=partial(self._say_chosen, found))

    def _say_chosen(
        self, rule: ids.IdRule, file: str, columns: Columns, available: Sequence[str]
    ) -> None:
        log.info(
            "columns.chosen",
            of=self._source,
            file=file,
            text=columns.text,
            id=columns.id or rule.rule,
            time=columns.time or "none",
        )
        self._tell(told(rule, file, columns, available))
