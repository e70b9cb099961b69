"""Transcripts that are kept: a window of a recording is paid for once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from worker import crashpoint
from worker.speech import Recording, Transcriber, TranscriptWindow
from worker.store.ledger.transcripts import Transcripts


class KeptTranscriber:
    """Asks another transcriber only for what is not in the store yet."""

    def __init__(self, inner: Transcriber, transcripts: Transcripts) -> None:
        self._inner = inner
        self._transcripts = transcripts
        self._under_way: set[bytes] = set()
        self._changed = Condition()

    def check(self) -> None:
        self._inner.check()

    def transcribe(self, recording: Recording, from_s: float) -> TranscriptWindow:
        with self._alone(recording.digest):
            found = self._transcripts.find(recording.digest, from_s)
            if found is None:
                found = self._inner.transcribe(recording, from_s)
                crashpoint.reached("transcript.answered")
                self._transcripts.keep(recording, from_s, found)
                crashpoint.reached("transcript.kept")
            return found

    @contextmanager
    def _alone(self, digest: bytes) -> Iterator[None]:
        """Two files with the same content are one recording: the second waits for the first."""
        with self._changed:
            self._changed.wait_for(lambda: digest not in self._under_way)
            self._under_way.add(digest)
        try:
            yield
        finally:
            with self._changed:
                self._under_way.discard(digest)
                self._changed.notify_all()
