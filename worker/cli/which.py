"""Which sources a command is about: the configured ones, or paths on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from worker import words
from worker.clean import storable
from worker.errors import ConfigurationError
from worker.settings import Settings
from worker.sources.config import SourceConfig
from worker.sources.file import FileSourceConfig


def configured(settings: Settings, names: Sequence[str] | None) -> Sequence[SourceConfig]:
    known = {source.name: source for source in settings.source}
    if not known:
        raise ConfigurationError(
            "No source is configured.",
            hint="Name files: sentiment-worker once reviews.csv; or write [[source]] tables "
            "into sentiment-worker.toml (see `sentiment-worker config show`).",
        )
    missing = [name for name in names or () if name not in known]
    if missing:
        raise ConfigurationError(
            f"No source is named {missing[0]!r}.", hint=words.instead(missing[0], known)
        )
    return [known[name] for name in names] if names else list(known.values())


def from_paths(
    paths: Sequence[str], name: str | None, layout: dict[str, Any]
) -> list[FileSourceConfig]:
    """A source for each path on the command line, or one named `name` for all of them."""
    if name:
        return [_ad_hoc(name, tuple(paths), layout)]
    stems = [storable(path.rstrip("/").rsplit("/", 1)[-1].split(".", 1)[0]) for path in paths]
    doubled = sorted({stem for stem in stems if stems.count(stem) > 1})
    if doubled:
        raise ConfigurationError(
            f"Two paths would be one source named {doubled[0]!r}; rows with equal ids would"
            " replace each other.",
            hint="If they are one source, name it: --name reviews. If they are two, run each with "
            "a --name of its own.",
        )
    return [
        _ad_hoc(stem.strip("*") or "files", (path,), layout)
        for stem, path in zip(stems, paths, strict=True)
    ]


def _ad_hoc(name: str, paths: tuple[str, ...], layout: dict[str, Any]) -> FileSourceConfig:
    try:
        return FileSourceConfig(kind="file", name=name, path=paths, **layout)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-") if first["loc"] else "option"
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"--{option}: {message}.") from None
