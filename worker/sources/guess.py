"""Which source a place is, where nobody has configured one: a path, a URL, a database."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import urlsplit

from worker.aws import STANDARD
from worker.clean import storable
from worker.sources.files.endings import AUDIO
from worker.sources.http import needs_web
from worker.sources.kinds import Guess
from worker.speech import LOCAL


def guess(place: str, said: dict[str, Any]) -> Guess:
    """`said` is what is known already, by the names of a source's keys. Asks the web and databases;
    reads no file. Raises ConfigurationError and SourceUnavailable."""
    name = said.get("name") or name_of(place)
    scheme = place.partition("://")[0] if "://" in place else ""
    if scheme in ("", "s3") and _is_audio(place):
        return Guess("audio", {"name": name, "path": place, "function": LOCAL} | said)
    if scheme in ("", "s3"):
        return Guess("file", {"name": name, "path": place} | said)
    if scheme in ("http", "https"):
        if (urlsplit(place).hostname or "").startswith("sqs."):
            return Guess("sqs", {"name": name, "queue": place} | said)
        with needs_web(name):
            from worker.sources.web.guess import guess_web
        return guess_web(place, {"name": name, "url": place} | said)
    from worker.sources.tables.guess import guess_table  # slow to import

    return guess_table(place, {"name": name, "url": place} | said)


def _is_audio(place: str) -> bool:
    """Does it name recordings, or is it a folder that has them and no files of rows?"""
    if not os.path.isdir(place):
        return AUDIO.match(place)
    from worker.sources.files import storage  # slow to import

    return bool(storage.find(place, STANDARD, AUDIO) and not storage.find(place, STANDARD))


def name_of(place: str) -> str:
    """Of the last part of a path, or the host of a URL."""
    parts = urlsplit(place)
    if parts.scheme in ("http", "https"):
        stem = parts.path.rstrip("/").rsplit("/", 1)[-1] or (parts.hostname or "")
    else:
        stem = place.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]
    stem = re.sub(r"[*?\[\]]", "", stem.split(".", 1)[0] or stem)
    return storable(stem)[:100] or "source"
