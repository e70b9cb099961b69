"""What an address answers with: a feed, or records of a JSON API, and where in it they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.errors import ConfigurationError
from worker.sources.kinds import Guess
from worker.sources.rows.columns import TEXT_NAMES, TIME_NAMES
from worker.sources.web.client import Answer, Asking, Client, shown

DEEPEST = 3
IDS = ("id", "uuid", "guid", "key")
TIMES = (*TIME_NAMES, "updated_at", "createdat", "updatedat", "date_published", "published")
NEXT = ("next", "next_page", "nextpage", "next_url")
TEXTS = (*TEXT_NAMES, "description", "comments", "full_text", "note")


def guess_web(url: str, said: dict[str, Any]) -> Guess:
    """Asks once. Raises ConfigurationError where there is neither, and as `Client.ask`."""
    client = Client(Asking(said["name"], allow_private=said.get("allow_private", ())))
    try:
        answer = client.ask(url)
    finally:
        client.close()
    start = answer.body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    document = None if start == b"<" else answer.json()
    version = document.get("version") if isinstance(document, dict) else None
    if document is None or str(version).startswith("https://jsonfeed.org/version/"):
        return Guess("feed", said, ("it answers with a feed",))
    return _of_json(answer, document, said)


def _of_json(answer: Answer, document: Any, said: dict[str, Any]) -> Guess:
    lists = dict(_lists("", document))
    if not lists:
        raise ConfigurationError(
            f"{shown(answer.url)} answers with JSON that has no list of records.",
            hint="Name an address that lists them.",
        )
    path = max(lists, key=lambda path: len(lists[path]))
    rows = lists[path]
    leaves = dict(_leaves("", rows[0]))
    texts = {leaf: value for leaf, value in leaves.items() if isinstance(value, str)}
    found: dict[str, Any] = {"records": path}
    for key, names in (("id", IDS), ("text", TEXTS), ("time", TIMES)):
        of = texts if key == "text" else leaves
        if key not in said and (leaf := _named(of, names)):
            found[key] = leaf
    if "text" not in said | found and (longest := _longest(leaves)):
        found["text"] = longest
    why = [f"{len(rows):,} records at {path!r}; the first has {', '.join(leaves)}"]
    if 'rel="next"' in answer.headers.get("link", ""):
        found["pagination"] = "link"
        why.append("its header Link names the next page")
    elif isinstance(document, dict) and (following := _next(document)):
        found |= {"pagination": "next", "next": following}
        why.append(f"{following!r} is the next page's address")
    else:
        why.append("it names no next page: if there is one, say pagination (docs/sources.md)")
    return Guess("http", found | said, tuple(why))


def _lists(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    """Each list of objects, by its JMESPath."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        yield path or "@", value
    elif isinstance(value, dict) and depth < DEEPEST:
        for key, inside in value.items():
            yield from _lists(_joined(path, key), inside, depth + 1)


def _leaves(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < DEEPEST:
        for key, inside in value.items():
            yield from _leaves(_joined(path, key), inside, depth + 1)
    elif path and not isinstance(value, list):
        yield path, value


def _joined(path: str, key: str) -> str:
    plain = key.isidentifier() and key.isascii()
    part = key if plain else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{path}.{part}" if path else part


def _named(leaves: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The leaf of the first of these names; one that is not nested comes first."""
    by_last: dict[str, str] = {}
    for path in sorted(leaves, key=lambda path: (path.count("."), path)):
        by_last.setdefault(path.rsplit(".", 1)[-1].lower(), path)
    return next((by_last[name] for name in names if name in by_last), None)


def _longest(leaves: Mapping[str, Any]) -> str | None:
    """A text by no usual name: the longest one of the first record."""
    texts = {path: value for path, value in leaves.items() if isinstance(value, str)}
    return max(texts, key=lambda path: len(texts[path]), default=None)


def _next(document: Mapping[str, Any]) -> str | None:
    for path, value in _leaves("", document):
        last = path.rsplit(".", 1)[-1].lower()
        if last in NEXT and str(value).startswith(("http://", "https://", "/")):
            return path
    return None
