"""Transcripts that are kept: a window of a recording that was heard is never paid for again."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock

from worker import crashpoint
from worker.speech import Heard, Recording, Transcriber
from worker.store.ledger.transcripts import Transcripts


class KeptTranscriber:
    """Asks another transcriber only for what is not in the store yet."""

    def __init__(self, inner: Transcriber, transcripts: Transcripts) -> None:
        self._inner = inner
        self._transcripts = transcripts
        self._one_at_a_time: defaultdict[bytes, Lock] = defaultdict(Lock)
        """By content: two files with the same are one recording."""

    def check(self) -> None:
        self._inner.check()

    def hear(self, recording: Recording, from_s: float) -> Heard:
        with self._one_at_a_time[recording.digest]:
            found = self._transcripts.find(recording.digest, from_s)
            if found is None:
                found = self._inner.hear(recording, from_s)
                crashpoint.reached("transcript.heard")
                self._transcripts.keep(recording, from_s, found)
                crashpoint.reached("transcript.kept")
            return found
