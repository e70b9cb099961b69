"""Recordings as records: each is heard, and what was said is the text.

A recording is a partition. One that did not change is not opened; one that changed is heard anew,
and records of which there are no more are marked as gone. What the function said of it is kept
(`worker.transcription`): a run that was killed goes on where it was, and pays for nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from secrets import token_hex

from worker.clean import clean
from worker.errors import SourceUnavailable
from worker.log import get_logger
from worker.records import BEFORE, Page, Position, Record, Refusal, Remark
from worker.sources.files import storage
from worker.sources.files.emptiness import Emptiness
from worker.sources.files.storage import Blob, Endings
from worker.sources.kinds import Opening
from worker.speech import AudioRefused, Heard, Hearing, Recording, Segment, Transcriber
from worker.threads import in_order

log = get_logger(__name__)

AUDIO = Endings((".wav", ".mp3", ".ogg", ".oga", ".opus", ".flac", ".m4a"))

MAX_BYTES = 64 << 20
"""Of a recording that the worker itself reads: two hours of speech as MP3. What lies in S3 is read
by the function, and may be larger."""

BLOCK = 1 << 20


class AudioReader:
    """Reads recordings one by one."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing

    def is_new(self, blob: Blob, position: Position) -> bool:
        heard = position.get("layout") == self._hearing.digest()
        return not (heard and position.get("stamp") == blob.stamp)

    def read(self, blob: Blob, position: Position, ears: Transcriber) -> Page | None:
        """A recording's records; None while it is being written. Raises SourceUnavailable."""
        if not storage.is_at_rest(blob):
            return None
        stamp = {"stamp": blob.stamp, "layout": self._hearing.digest()}
        known = _count_of(position)
        try:
            recording = self._recording(blob)
            windows = list(_windows(recording, ears))
        except AudioRefused as error:
            log.warning("audio.refused", file=blob.path)
            refusal = Refusal("file", str(error), b"")
            return Page(blob.path, {**stamp, **known}, (), (refusal,), bytes_read=blob.size)
        if not blob.is_unchanged() and blob.modified:
            return None
        found = list(self._found(blob, windows))
        records = [each for each in found if isinstance(each, Record)]
        ids = {record.external_id for record in records}
        count = {"segments": len(found)} if self._hearing.split == "segment" else {}
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

    def _recording(self, blob: Blob) -> Recording:
        """Raises AudioRefused, SourceUnavailable."""
        by_place = blob.path.startswith("s3://") and not self._hearing.is_local
        if not by_place and blob.size > MAX_BYTES:
            raise AudioRefused(f"it has {blob.size:,} bytes; at most {MAX_BYTES:,} are read here")
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

    def _found(self, blob: Blob, windows: Sequence[Heard]) -> Iterator[Record | Refusal]:
        segments = [segment for heard in windows for segment in heard.segments]
        language = next((heard.language for heard in windows if heard.segments), None)
        at = _moment(blob.written_at)
        if self._hearing.split == "segment":
            for number, each in enumerate(segments, 1):
                times = {"start": f"{each.start_s:.2f}", "end": f"{each.end_s:.2f}"}
                duration = each.end_s - each.start_s
                spoken = _Spoken(f"{blob.path}#{number}", [each], duration, language, at, times)
                yield spoken.judged(self._hearing.least_confidence, f"{each.start_s:.2f} s")
        else:
            duration = windows[-1].until_s
            spoken = _Spoken(blob.path, segments, duration, language, at, {})
            yield spoken.judged(self._hearing.least_confidence, "file")


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What becomes one record."""

    external_id: str
    segments: Sequence[Segment]
    duration_s: float
    language: str | None
    at: datetime | None
    tags: dict[str, str]

    def judged(self, least_confidence: float, offset: str) -> Record | Refusal:
        """The record, or why it is none: a model that does not know the language hears words that
        nobody said, and is unsure of them."""
        confidence = self._confidence()
        if confidence is not None and confidence < least_confidence:
            reason = (
                f"heard with confidence {confidence:.2f}, and least_confidence is"
                f" {least_confidence:g}: noise, or a language that the model does not know"
            )
            return Refusal(offset, reason, b"")
        text = clean(" ".join(segment.text for segment in self.segments))
        tags = self.tags | {"duration": f"{self.duration_s:.1f}"}
        if confidence is not None:
            tags |= {"confidence": f"{confidence:.2f}"}
        if self.language:
            tags |= {"language": self.language}
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
        lengths = [segment.end_s - segment.start_s for segment in self.segments]
        if not sum(lengths):
            return None
        weighted = sum(s.confidence * n for s, n in zip(self.segments, lengths, strict=True))
        return weighted / sum(lengths)


class AudioSource:
    """`worker.ports.Source` over recordings."""

    def __init__(
        self,
        name: str,
        locations: Sequence[str],
        hearing: Hearing,
        opening: Opening,
        *,
        may_be_empty: bool = True,
    ) -> None:
        self.name = name
        self.remark: Remark | None = None
        self._locations = locations
        self._hearing = hearing
        self._opening = opening
        self._reader = AudioReader(hearing)
        self._emptiness = Emptiness(
            name, locations, may_be_empty=may_be_empty, before=opening.empty_before
        )

    def size(self) -> int | None:
        return sum(blob.size for blob in self._find()[0])

    def backlog(self) -> str:
        blobs, missing = self._find()
        if missing:
            raise missing
        with self._opening.hire(self.name, self._hearing) as ears:
            ears.check()
        return f"{len(blobs):,} recordings, heard by the function {self._hearing.function}"

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        blobs, unread = self._find()
        is_empty = not blobs and unread is None
        self.remark = self._emptiness.remark() if is_empty else None
        if is_empty:
            self._emptiness.raise_if_too_often()
        new = [blob for blob in blobs if self._reader.is_new(blob, positions.get(blob.path, {}))]
        if new:
            with self._opening.hire(self.name, self._hearing) as ears:
                for blob, page in self._heard(new, positions, ears):
                    try:
                        if found := page():
                            yield found
                    except SourceUnavailable as error:
                        log.warning("file.unreadable", file=blob.path, error=str(error))
                        unread = error
        if unread is not None:
            raise unread

    def _heard(
        self, blobs: Sequence[Blob], positions: Mapping[str, Position], ears: Transcriber
    ) -> Iterator[tuple[Blob, Callable[[], Page | None]]]:
        calls = (
            partial(self._reader.read, blob, positions.get(blob.path, {}), ears) for blob in blobs
        )
        at_once = 1 if self._hearing.is_local else self._hearing.at_once
        for blob, future in zip(blobs, in_order(calls, at_once), strict=True):
            yield blob, future.result

    def _find(self) -> tuple[list[Blob], SourceUnavailable | None]:
        """The recordings of the places that are there, and why others cannot be read."""
        return storage.find_all(self._locations, self._opening.access, AUDIO)


def _windows(recording: Recording, ears: Transcriber) -> Iterator[Heard]:
    from_s, is_done = 0.0, False
    while not is_done:
        heard = ears.hear(recording, from_s)
        yield heard
        from_s, is_done = heard.until_s, heard.is_done


def _moment(seconds: float) -> datetime | None:
    with suppress(ValueError, OverflowError, OSError):  # a clock that stood in another age
        return datetime.fromtimestamp(seconds, UTC)
    return None


def _count_of(position: Position) -> Position:
    """How many segments were records, at what the source knew before."""
    count = position.get("segments", position.get(BEFORE, {}).get("segments"))
    return {} if count is None else {"segments": count}


def _ids(path: str, known: Position) -> set[str]:
    """Of a recording's records, as they may be stored."""
    return {path} | {f"{path}#{number}" for number in range(1, known.get("segments", 0) + 1)}
