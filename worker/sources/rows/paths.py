"""JMESPath: which part of a JSON document is meant. https://jmespath.org/"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError


@lru_cache(maxsize=256)
def _compiled(path: str) -> Any:
    return jmespath.compile(path)


def require_path(name: str, path: str) -> None:
    """Raises ValueError where it is no JMESPath."""
    try:
        _compiled(path)
    except JMESPathError as error:
        raise ValueError(f"{name} = {path!r} is no JMESPath: {_first_line(error)}") from error


def found(path: str, document: Any) -> Any:
    """None where there is nothing, or it cannot be had of such a document."""
    try:
        return _compiled(path).search(document)
    except JMESPathError:
        return None


def flat(row: Any, fields: Mapping[str, str | None], tags: Mapping[str, str]) -> dict[str, Any]:
    """A record's fields and tags by their names; each is given as a path, or None for a field that
    is not read."""
    values = {name: found(path, row) for name, path in fields.items() if path}
    if isinstance(values.get("text"), list):  # several fields: a title, and what follows
        values["text"] = "\n\n".join(str(part) for part in values["text"] if part)
    return values | {name: found(path, row) for name, path in tags.items()}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120]
