"""Recordings as records: each is transcribed, and what was said is the text.

A recording is a partition. One that did not change is not opened; one that changed is transcribed
anew, and records that no longer exist are marked as gone. Transcripts are kept
(`worker.transcription`): a run that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from secrets import token_hex

from worker.clean import MAX_MODEL_CHARS, clean
from worker.errors import SourceUnavailable
from worker.log import get_logger
from worker.records import BEFORE, Page, Position, Record, Refusal, Remark
from worker.sources.files import storage
from worker.sources.files.emptiness import Emptiness
from worker.sources.files.endings import AUDIO
from worker.sources.files.storage import Blob
from worker.sources.kinds import Opening
from worker.speech import (
    LONGEST_S,
    Recording,
    RecordingRefused,
    Segment,
    Transcriber,
    TranscriptionOptions,
    TranscriptWindow,
)
from worker.threads import in_order

log = get_logger(__name__)

BLOCK = 1 << 20

MAX_S3_BYTES = 1 << 30
"""Of an object that the function reads; it refuses a larger one."""

REST_S = 10.0
"""Untouched for so long, a recording is not being made any more: one that still grows would be paid
for again and again."""

SHORTEST_S = 0.01
"""Of a segment: times come rounded to it."""


class AudioReader:
    """Reads recordings one by one."""

    def __init__(self, options: TranscriptionOptions) -> None:
        self._options = options
        self.is_stopped = False
        """No window is asked for any more."""

    def is_new(self, blob: Blob, position: Position) -> bool:
        is_alike = position.get("layout") == self._options.digest()
        return not (is_alike and position.get("stamp") == blob.stamp)

    def read(self, blob: Blob, position: Position, transcriber: Transcriber) -> Page | None:
        """A recording's records; None while it is being written. Raises SourceUnavailable."""
        if not storage.is_at_rest(blob, REST_S):
            return None
        stamp = {"stamp": blob.stamp, "layout": self._options.digest()}
        known = _count_of(position)
        try:
            recording = self._recording(blob)
            windows = list(self._windows(recording, transcriber))
        except RecordingRefused as error:
            log.warning("audio.refused", file=blob.path)
            refusal = Refusal("file", str(error), b"")
            return Page(blob.path, {**stamp, **known}, (), (refusal,), bytes_read=blob.size)
        if not blob.is_unchanged() and blob.modified:
            return None
        found = list(self._found(blob, windows))
        records = [each for each in found if isinstance(each, Record)]
        ids = {record.external_id for record in records}
        count = {"segments": len(found) if self._options.split == "segment" else -1}
        return Page(
            blob.path,
            {**stamp, **count},
            records,
            [each for each in found if isinstance(each, Refusal)],
            bytes_read=blob.size,
            reading=token_hex(4),
            complete=True,
            gone=sorted(_ids(blob.path, known) - ids),
        )

    def _windows(
        self, recording: Recording, transcriber: Transcriber
    ) -> Iterator[TranscriptWindow]:
        from_s, is_last = 0.0, False
        while not is_last:
            if self.is_stopped:
                raise SourceUnavailable(f"{recording.path} was not transcribed to its end.")
            if from_s >= LONGEST_S:
                raise RecordingRefused(
                    f"it is longer than {LONGEST_S / 3600:.0f} hours: split it, and nothing is lost"
                )
            window = transcriber.transcribe(recording, from_s)
            yield window
            from_s, is_last = window.until_s, window.is_last

    def _recording(self, blob: Blob) -> Recording:
        """Raises RecordingRefused, SourceUnavailable."""
        by_place = blob.path.startswith("s3://") and not self._options.is_local
        if not by_place and blob.size > (most := self._options.max_content_bytes):
            raise RecordingRefused(
                f"it has {blob.size:,} bytes, and a call takes at most {most:,}: put it in S3, or"
                " compress it"
            )
        if not blob.size:
            raise RecordingRefused("it is empty")
        if blob.size > MAX_S3_BYTES:
            raise RecordingRefused(
                f"it has {blob.size:,} bytes, and at most {MAX_S3_BYTES:,} are read"
            )
        digest, blocks = blake2b(digest_size=16), []
        try:
            with blob.open() as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
                    if not by_place:
                        blocks.append(block)
        except OSError as error:
            raise storage.unreadable(blob.path, error) from error
        if by_place:
            etag = blob.stamp.partition(":")[2]
            return Recording(blob.path, digest.digest(), etag=etag)
        return Recording(blob.path, digest.digest(), b"".join(blocks))

    def _found(self, blob: Blob, windows: Sequence[TranscriptWindow]) -> Iterator[Record | Refusal]:
        segments = [segment for window in windows for segment in window.segments]
        language = next((window.language for window in windows if window.segments), None)
        at = _moment(blob.written_at)
        if self._options.split == "segment":
            for number, each in enumerate(segments, 1):
                times = {"start": f"{each.start_s:.2f}", "end": f"{each.end_s:.2f}"}
                duration = each.end_s - each.start_s
                spoken = _Spoken(f"{blob.path}#{number}", [each], duration, language, at, times)
                yield spoken.judged(self._options.min_confidence, f"{each.start_s:.2f} s")
        else:
            duration, last = windows[-1].until_s, windows[-1]
            tags = {"broken_off": "yes"} if last.is_broken_off else {}
            spoken = _Spoken(blob.path, segments, duration, language, at, tags)
            yield spoken.judged(self._options.min_confidence, "file")


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What becomes one record."""

    external_id: str
    segments: Sequence[Segment]
    duration_s: float
    language: str | None
    at: datetime | None
    tags: dict[str, str]

    def judged(self, min_confidence: float, offset: str) -> Record | Refusal:
        """The record, or why it is none: a model that does not know the language writes words that
        nobody said, and is unsure of them."""
        confidence = self._confidence()
        if confidence is not None and confidence < min_confidence:
            reason = (
                f"transcribed with confidence {confidence:.2f}, and min_confidence is"
                f" {min_confidence:g}: noise, or a language that the model does not know"
            )
            return Refusal(offset, reason, b"")
        text = clean(" ".join(segment.text for segment in self.segments))
        tags = self.tags | {"duration": f"{self.duration_s:.1f}"}
        if confidence is not None:
            tags |= {"confidence": f"{confidence:.2f}"}
        if self.language:
            tags |= {"language": self.language}
        if len(text.text) > MAX_MODEL_CHARS:
            tags |= {"partly_read": "yes"}  # its score is of the beginning
        return Record(
            self.external_id,
            text.text,
            text.content_hash,
            self.at,
            language=self.language,
            tags=tags,
            flags=text.flags,
            skip_reason=text.skip_reason,
            original_hash=text.original_hash,
        )

    def _confidence(self) -> float | None:
        """Of the segments, each by its length; None where nothing was said."""
        if not self.segments:
            return None
        lengths = [max(s.end_s - s.start_s, SHORTEST_S) for s in self.segments]
        weighted = sum(s.confidence * n for s, n in zip(self.segments, lengths, strict=True))
        return weighted / sum(lengths)


class AudioSource:
    """`worker.ports.Source` over recordings."""

    def __init__(
        self,
        name: str,
        locations: Sequence[str],
        options: TranscriptionOptions,
        opening: Opening,
        *,
        may_be_empty: bool = True,
    ) -> None:
        self.name = name
        self.remark: Remark | None = None
        self._locations = locations
        self._options = options
        self._opening = opening
        self._reader = AudioReader(options)
        self._transcriber: Transcriber | None = None
        self._emptiness = Emptiness(
            name, locations, may_be_empty=may_be_empty, before=opening.empty_before
        )

    def stop(self) -> None:
        """The run has ended: nothing is paid for any more."""
        self._reader.is_stopped = True
        if self._transcriber:
            self._transcriber.close()

    def size(self) -> int | None:
        return sum(blob.size for blob in self._find()[0])

    def backlog(self) -> str:
        blobs, missing = self._find()
        if missing:
            raise missing
        with self._opening.open_transcriber(self.name, self._options) as transcriber:
            transcriber.check()
        function = self._options.function
        return f"{len(blobs):,} recordings, transcribed by the function {function}"

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        blobs, unread = self._find()
        is_empty = not blobs and unread is None
        self.remark = self._emptiness.remark() if is_empty else None
        if is_empty:
            self._emptiness.raise_if_too_often()
        new = [blob for blob in blobs if self._reader.is_new(blob, positions.get(blob.path, {}))]
        if new:
            with self._opening.open_transcriber(self.name, self._options) as transcriber:
                self._transcriber = transcriber
                for blob, future in self._begun(new, positions, transcriber):
                    try:
                        if page := future.result():
                            yield page
                    except SourceUnavailable as error:
                        log.warning("file.unreadable", file=blob.path, error=str(error))
                        unread = error
        if unread is not None:
            raise unread

    def _begun(
        self, blobs: Sequence[Blob], positions: Mapping[str, Position], transcriber: Transcriber
    ) -> Iterator[tuple[Blob, Future[Page | None]]]:
        read = self._reader.read
        calls = (partial(read, blob, positions.get(blob.path, {}), transcriber) for blob in blobs)
        at_once = 1 if self._options.is_local else self._options.concurrency
        return zip(blobs, in_order(calls, at_once), strict=True)

    def _find(self) -> tuple[list[Blob], SourceUnavailable | None]:
        """The recordings of the places that are there, and why others cannot be read."""
        return storage.find_all(self._locations, self._opening.access, AUDIO)


def _moment(seconds: float) -> datetime | None:
    with suppress(ValueError, OverflowError, OSError):  # a clock that stood in another age
        return datetime.fromtimestamp(seconds, UTC)
    return None


def _count_of(position: Position) -> Position:
    """How many segments were records, at what the source knew before; -1 where the recording as a
    whole was one."""
    known = position if "stamp" in position else position.get(BEFORE, {})
    return {"segments": known.get("segments", -1)} if "stamp" in known else {}


def _ids(path: str, known: Position) -> set[str]:
    """Of a recording's records, as they may be stored."""
    count = known.get("segments", 0)
    return {path} if count < 0 else {f"{path}#{number}" for number in range(1, count + 1)}
