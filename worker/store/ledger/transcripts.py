"""Transcripts of recordings, and what they cost."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from worker.records import Bill
from worker.speech import PROVIDER, Recording, Segment, TranscriptWindow
from worker.store import database
from worker.store.driver import Cursor

NO_ANSWER = 0
"""In place of a model's id: a call without a usable answer."""

_FIND = """
SELECT t.segments, t.until_s, t.is_last, t.language, t.model, t.version, t.is_broken_off
FROM sentiment.transcript t JOIN sentiment.source s ON s.id = t.source_id
WHERE s.name = %(source)s AND t.digest = %(digest)s
  AND t.requested_language = %(language)s AND t.from_s = %(from)s
"""

_KEEP = """
INSERT INTO sentiment.transcript
    (source_id, digest, requested_language, from_s, until_s, is_last, language, model, version,
     path, segments, call_id, is_broken_off)
SELECT id, %(digest)s, %(requested)s, %(from)s, %(until)s, %(last)s, %(language)s, %(model)s,
       %(version)s, %(path)s, %(segments)s, %(call)s, %(broken_off)s
FROM sentiment.source WHERE name = %(source)s
ON CONFLICT DO NOTHING
"""

# True where an earlier attempt of this very call was committed, and the reply to that was lost.
_IS_KEPT = """
SELECT t.call_id IS NOT DISTINCT FROM %(call)s
FROM sentiment.transcript t JOIN sentiment.source s ON s.id = t.source_id
WHERE s.name = %(source)s AND t.digest = %(digest)s
  AND t.requested_language = %(requested)s AND t.from_s = %(from)s
"""

# Two statements: one alone would not see a row that another transaction has just made.
_REGISTER = """
INSERT INTO sentiment.scorer (provider, model, version) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_MODEL = "SELECT id FROM sentiment.scorer WHERE (provider, model, version) = (%s, %s, %s)"

_PAID = """
INSERT INTO sentiment.spend AS s
    (day, source_id, scorer_id, invocations, billed_ms, billed_mb_ms, unreported)
SELECT (now() AT TIME ZONE 'UTC')::date, id, %(model)s, 1, %(ms)s, %(mb_ms)s, %(unreported)s
FROM sentiment.source WHERE name = %(source)s
ON CONFLICT (day, source_id, scorer_id) DO UPDATE SET
    invocations = s.invocations + 1, billed_ms = s.billed_ms + excluded.billed_ms,
    billed_mb_ms = s.billed_mb_ms + excluded.billed_mb_ms,
    unreported = s.unreported + excluded.unreported
"""


class Transcripts:
    """Of one source, whose language was said or left to be detected. Each method is one
    transaction; raises DatabaseUnavailable where the database is away for `patience_s`."""

    def __init__(
        self, engine: Engine, source: str, language: str | None, *, patience_s: float = 60.0
    ) -> None:
        self._engine = engine
        self.source = source
        self._requested = language or ""
        self._patience_s = patience_s

    def find(self, digest: bytes, from_s: float) -> TranscriptWindow | None:
        asked = {
            "source": self.source,
            "language": self._requested,
            "digest": digest,
            "from": from_s,
        }

        def read() -> TranscriptWindow | None:
            with database.cursor(self._engine) as cur:
                row: Any = cur.execute(_FIND, asked).fetchone()
            return (
                TranscriptWindow(tuple(Segment(*each) for each in row[0]), *row[1:])
                if row
                else None
            )

        return database.retrying(read, patience_s=self._patience_s)

    def keep(
        self, recording: Recording, from_s: float, window: TranscriptWindow, call: UUID
    ) -> None:
        """With the bill of the call: it counts for budgets, and stands in `cost report` beside the
        model. Of two calls for the same window the first is kept; both are paid for."""
        keep = partial(self._keep, recording, from_s, window, call)
        database.retrying(keep, patience_s=self._patience_s)

    def unusable_call(self, bill: Bill) -> None:
        """A call that ran, or may have, and brought nothing."""

        def write() -> None:
            with database.cursor(self._engine) as cur:
                self._count(cur, bill, NO_ANSWER)

        database.retrying(write, patience_s=self._patience_s)

    def _keep(
        self, recording: Recording, from_s: float, window: TranscriptWindow, call: UUID
    ) -> None:
        said = {
            "source": self.source,
            "requested": self._requested,
            "digest": recording.digest,
            "from": from_s,
            "until": window.until_s,
            "last": window.is_last,
            "language": window.language,
            "model": window.model,
            "version": window.version,
            "path": recording.path,
            "segments": json.dumps(window.segments),
            "call": call,
            "broken_off": window.is_broken_off,
        }
        with database.cursor(self._engine) as cur:
            is_new = cur.execute(_KEEP, said).rowcount or cur.execute(
                _IS_KEPT, said
            ).fetchone() == (False,)
            if is_new and window.bill:
                named = (PROVIDER, window.model, window.version)
                cur.execute(_REGISTER, named)
                ((model,),) = cur.execute(_MODEL, named).fetchall()
                self._count(cur, window.bill, model)

    def _count(self, cur: Cursor, bill: Bill, model: Any) -> None:
        cost = {
            "source": self.source,
            "model": model,
            "ms": bill.milliseconds,
            "mb_ms": bill.milliseconds * bill.memory_mb,
            "unreported": int(not bill.reported),
        }
        cur.execute(_PAID, cost)
