"""Transcripts that are kept: a window of a recording is paid for once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from uuid import uuid4

from worker import crashpoint
from worker.speech import Recording, Transcriber, TranscriptWindow
from worker.stages import Stage, Stages
from worker.store.ledger.transcripts import Transcripts


class UnderWay:
    """The recordings that are being transcribed, of all runs of this process: a run that has ended
    leaves its last call to finish, and the next run waits for what it brings."""

    def __init__(self, stages: Stages | None = None) -> None:
        self._stages = stages or Stages()
        self._keys: set[tuple[str, bytes]] = set()
        self._changed = Condition()

    @contextmanager
    def alone(self, source: str, digest: bytes) -> Iterator[None]:
        """Waits for whoever is at the same recording of the source."""
        key = source, digest
        with self._changed:
            self._changed.wait_for(lambda: key not in self._keys)
            self._keys.add(key)
        try:
            with self._stages.under_way(Stage.TRANSCRIBE, source):
                yield
        finally:
            with self._changed:
                self._keys.discard(key)
                self._changed.notify_all()


class KeptTranscriber:
    """Asks another transcriber only for what is not in the store yet."""

    def __init__(self, inner: Transcriber, transcripts: Transcripts, under_way: UnderWay) -> None:
        self._inner = inner
        self._transcripts = transcripts
        self._under_way = under_way

    def check(self) -> None:
        self._inner.check()

    def close(self) -> None:
        self._inner.close()

    def transcribe(self, recording: Recording, from_s: float) -> TranscriptWindow:
        with self._under_way.alone(self._transcripts.source, recording.digest):
            found = self._transcripts.find(recording.digest, from_s)
            if found is None:
                found = self._inner.transcribe(recording, from_s)
                crashpoint.reached("transcript.answered")
                self._transcripts.keep(recording, from_s, found, uuid4())
                crashpoint.reached("transcript.kept")
            return found
