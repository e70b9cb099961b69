"""The kinds of sources: ours, and those of other packages.

A kind is a module: its configuration's model, how a source is opened from it, and a `Kind` that
names both. Another package registers one under the entry point group `sentiment_worker.sources`:

    [project.entry-points."sentiment_worker.sources"]
    forum = "my_package.forum:KIND"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from worker import words
from worker.aws import STANDARD, Access
from worker.errors import ConfigurationError
from worker.ports import Source
from worker.sources.config import SourceConfig
from worker.speech import OpenTranscriber, Transcriber, TranscriptionOptions

GROUP = "sentiment_worker.sources"
OURS = ("file", "sql", "http", "feed", "sqs", "audio")
"""Each the name of a module beside this one."""


def unsaid(sentence: str) -> None:
    """For where nobody watches."""


def no_transcriber(
    source: str, options: TranscriptionOptions
) -> AbstractContextManager[Transcriber]:
    """For where nothing is transcribed."""
    raise ConfigurationError(f"The source {source!r} cannot be transcribed here.")


@dataclass(frozen=True, slots=True)
class Opening:
    """What a source is opened with."""

    access: Access = STANDARD
    """To what lies at AWS."""
    tell: Callable[[str], None] = unsaid
    """Says a sentence to a person: which columns were chosen."""
    empty_before: Callable[[], int] = lambda: 0
    """How many runs in a row have found nothing to read."""
    open_transcriber: OpenTranscriber = no_transcriber
    """Who turns recordings into text."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a `[[source]]` of a place would say, and why."""

    kind: str
    said: dict[str, Any]
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source."""

    name: str
    about: str
    """For `sources kinds`: a few words."""
    config: type[SourceConfig]
    open: Callable[[Any, Opening], Source]
    """Nothing is read or connected yet. Takes a value of `config`."""


def find(name: str) -> Kind:
    """Raises ConfigurationError for a kind that is not installed, and for one that cannot be
    loaded."""
    if name in OURS:
        kind: Kind = import_module(f"worker.sources.{name}").KIND
        return kind
    known = _of_others()
    if name not in known:
        listed = ", ".join(sorted({*OURS, *known}))
        raise ConfigurationError(
            f"There is no kind of source {name!r}.",
            hint=words.instead(name, sorted({*OURS, *known})) or f"There are: {listed}.",
        )
    return _loaded(known[name])


def names() -> list[str]:
    """Of all kinds that are installed."""
    return [*OURS, *sorted(set(_of_others()) - set(OURS))]


def open_source(config: SourceConfig, opening: Opening | None = None) -> Source:
    """The source that a configuration describes; nothing is read or connected yet."""
    return find(config.kind).open(config, opening or Opening())


def origin(name: str) -> str:
    """Which package brings a kind."""
    found = _of_others().get(name)
    return found.dist.name if name not in OURS and found and found.dist else "sentiment-worker"


@cache
def _of_others() -> Mapping[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=GROUP)}


def _loaded(entry: EntryPoint) -> Kind:
    try:
        kind = entry.load()
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"The kind {entry.name!r} of {entry.value} cannot be loaded: {type(error).__name__}.",
            hint="Repair or remove the package that brings it.",
        ) from error
    if not isinstance(kind, Kind):
        raise ConfigurationError(f"The kind {entry.name!r} of {entry.value} is no Kind.")
    return kind
