"""Files as a source: each file is a partition with a cursor of its own.

A file that did not change is not opened. One that grew is read from where it stood, after
its earlier bytes were found to be the same; one that changed is read anew, and records that
are as they were are absorbed by the store.

A file may end inside a row: no line end, open quotes, half an archive. What is there is taken
as it is, and the position says that the end was open ("open_end"). Should the file grow, it is
read anew from its beginning: half an id may have stood for another record, or for none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from secrets import token_hex

from worker.aws import STANDARD, Access
from worker.errors import ConfigurationError, SourceUnavailable
from worker.log import get_logger
from worker.records import BEFORE, Page, Position, Refusal, Remark
from worker.sources.files import archive, storage
from worker.sources.files.emptiness import Emptiness
from worker.sources.files.reader import LINES, FileOptions, FileReader
from worker.sources.files.storage import Blob
from worker.sources.kinds import unsaid
from worker.sources.rows import identity
from worker.sources.rows.layout import Layout

log = get_logger(__name__)


class FileSource:
    """`worker.ports.Source` over files."""

    def __init__(
        self,
        name: str,
        locations: Sequence[str],
        layout: Layout,
        *,
        access: Access = STANDARD,
        tell: Callable[[str], None] = unsaid,
        options: FileOptions | None = None,
        may_be_empty: bool = True,
        empty_before: Callable[[], int] = lambda: 0,
    ) -> None:
        self.name = name
        self._locations = locations
        self._access = access
        self._options = options or FileOptions()
        self.remark: Remark | None = None
        self._emptiness = Emptiness(name, locations, may_be_empty=may_be_empty, before=empty_before)
        self._reader = FileReader(name, layout, self._options, tell)

    def size(self) -> int | None:
        """Bytes of all files; None where packing hides how much there is to read."""
        blobs = self._find()
        if any(blob.packing or blob.format not in LINES for blob in blobs):
            return None
        return sum(blob.size for blob in blobs)

    def require_alike(self, positions: Mapping[str, Position]) -> None:
        """Raises ConfigurationError where the files, or those that were read before, have different
        columns. Nobody has said that they are one source, and as one source equal ids would be the
        same record."""
        columns = identity.columns_in(positions)
        with contextlib.ExitStack() as archives:
            for blob in self._within(self._find(), archives):
                if (
                    blob.path not in columns
                    and (found := self._reader.columns_of(blob)) is not None
                ):
                    columns[blob.path] = found
        identity.require_one_layout(columns, self.name)

    def _within(self, blobs: Iterable[Blob], archives: contextlib.ExitStack) -> Iterator[Blob]:
        """Files, and those inside of archives; an archive that cannot be read has none."""
        for blob in blobs:
            if blob.format == "zip":
                with contextlib.suppress(ConfigurationError, SourceUnavailable):
                    yield from archives.enter_context(
                        archive.opened(blob, self._options.bomb_bytes)
                    )
            else:
                yield blob

    def require_found(self) -> None:
        """Raises ConfigurationError where there is no file to read."""
        if not self._find():
            raise self._emptiness.refusal()

    def pages(self, positions: Mapping[str, Position]) -> Iterator[Page]:
        blobs, unread = self._look()
        self._look_at_emptiness(is_empty=not blobs and unread is None)
        self.remember(positions, blobs)
        for blob in blobs:
            try:
                yield from self.read(blob, positions, is_alone=len(blobs) == 1)
            except SourceUnavailable as error:
                log.warning("file.unreadable", file=blob.path, error=str(error))
                unread = error
        if unread is not None:
            raise unread

    def remember(self, positions: Mapping[str, Position], blobs: Sequence[Blob] = ()) -> None:
        """How earlier runs chose ids; before files are read one by one."""
        self._reader.id_rules.remember(positions, blobs)

    def read(
        self, blob: Blob, positions: Mapping[str, Position], *, is_alone: bool
    ) -> Iterator[Page]:
        """What is new of one file, or of those in an archive. Of many, one that is not like the
        others is refused, and the others are read; one that `is_alone` raises ConfigurationError.
        Raises SourceUnavailable."""
        known = position = positions.get(blob.path, {})
        if position.get("layout") != self._reader.digest():
            position = {}
        if position.get("stamp") == blob.stamp and not _is_again(blob, positions):
            return
        try:
            if blob.format == "zip":
                yield from self._archive(blob, positions)
                return
            for page in self._reader.pages(blob, position, known):
                identity.require_same(known, page.identity, blob.path)
                yield page
        except ConfigurationError as error:
            if is_alone:
                raise
            yield self._refused_file(blob, error)
        except OSError as error:
            raise storage.unreadable(blob.path, error) from error

    def _archive(self, blob: Blob, positions: Mapping[str, Position]) -> Iterator[Page]:
        with archive.opened(blob, self._options.bomb_bytes) as members:
            for member in members:
                yield from self.read(member, positions, is_alone=False)
        here = {"stamp": blob.stamp, "layout": self._reader.digest()}
        yield Page(blob.path, here, (), reading=token_hex(4), complete=True)

    def _look_at_emptiness(self, *, is_empty: bool) -> None:
        """Raises SourceUnavailable once there was no file too often; the remark says so too."""
        self.remark = self._emptiness.remark() if is_empty else None
        if is_empty:
            self._emptiness.raise_if_too_often()

    def _find(self) -> list[Blob]:
        """Raises SourceUnavailable where one of the places is not there."""
        found, missing = self._look()
        if missing is not None:
            raise missing
        return found

    def _look(self) -> tuple[list[Blob], SourceUnavailable | None]:
        """The files of the places that are there, and why others cannot be read."""
        return storage.find_all(self._locations, self._access)

    def _refused_file(self, blob: Blob, error: ConfigurationError) -> Page:
        reason = f"{error} {error.hint}".strip()
        position = {"stamp": blob.stamp, "layout": self._reader.digest()}
        return Page(blob.path, position, (), (Refusal("file", reason, b""),))


def _is_again(blob: Blob, positions: Mapping[str, Position]) -> bool:
    """Is a file of this archive to be read anew?"""
    start = blob.path + archive.INSIDE
    return blob.format == "zip" and any(
        path.startswith(start) and BEFORE in position for path, position in positions.items()
    )
