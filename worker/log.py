"""Logs: lines for a person on a terminal, JSON elsewhere, always on stderr.

Never a record's text, never a secret: what goes into an event is ids, counts and codes.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, TextIO

import structlog

from worker.outlet import Outlet

_CREDENTIAL_IN_URL = re.compile(r"://([^:/@\s]*):[^\s/]*@")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


IN_WORDS = {
    "lambda.invoking": "Invoking Lambda for {texts} texts",
    "lambda.answered": "Lambda sentiment analysis complete: {results} results",
}
"""Events that people look for by these words in a log that is text: those of an earlier backend."""


def get_logger(name: str) -> Any:
    return structlog.get_logger(name)


_outlets: dict[TextIO, Outlet] = {}
"""One for a stream, however often the log is set up."""


def drain() -> bool:
    """Wait a moment for the lines that are on their way, so that what is said next comes after.
    Says whether they are all written."""
    return all(outlet.drain() for outlet in _outlets.values())


def configure(
    *, level: str = "info", as_json: bool | None = None, stream: TextIO | None = None
) -> None:
    """Set up structlog and the standard library's logging to write the same lines."""
    stream = stream or sys.stderr
    if stream not in _outlets:
        _outlets[stream] = Outlet(stream)
    outlet: Any = _outlets[stream]
    if as_json is None:
        as_json = not stream.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    renderer: Any = structlog.processors.JSONRenderer()
    if not as_json:
        shared.append(_in_words)
        coloured = stream.isatty() and "NO_COLOR" not in os.environ
        renderer = structlog.dev.ConsoleRenderer(colors=coloured)
    outlet.tell = partial(_dropped, [*shared, renderer])
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(outlet),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(outlet)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    # It warns of each time that a long run takes the place of; those are rows of the ledger.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def _dropped(processors: Sequence[Any], count: int) -> str:
    event: Any = {"event": "log.lines_dropped", "count": count}
    for process in processors:
        event = process(None, "warning", event)
    return f"{event}\n"


def _in_words(_: Any, __: str, event: Any) -> Any:
    if (sentence := IN_WORDS.get(event.get("event"))) is not None:
        event["event"] = sentence.format(**event)
    return event


def _redact(_: Any, __: str, event: Any) -> Any:
    """A password in a URL, or a control character, reaches neither log nor terminal."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = printable(value)
    return event


def printable(text: str) -> str:
    """`text` for a terminal or a log: one line, no credentials, no control characters."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _CREDENTIAL_IN_URL.sub(r"://\1:***@", text))
