"""Named places on a record's way at which the fault tests end the process.

    crashpoint.reached("ingest.before_commit")

Does nothing, and nothing in this package can make it do anything: no setting, no variable. The
tests start the command through a module of their own that puts another function in its place.
"""

from __future__ import annotations

POINTS = (
    "run.locked",
    "run.started",
    "page.read",
    "ingest.cursor_moved",
    "ingest.before_commit",
    "ingest.committed",
    "claim.before_commit",
    "claim.committed",
    "call.before",
    "call.answered",
    "settle.begun",
    "settle.fenced",
    "settle.before_commit",
    "settle.committed",
    "split.before_commit",
    "park.judged",
    "run.before_finish",
    "run.finished",
)
"""In the order of the way, in `worker.pipeline.cycle`, `worker.pipeline.run` and `worker.store`."""

TRANSCRIPTION = ("transcript.answered", "transcript.kept")
"""On the way of a recording, in `worker.transcription.kept`."""


def reached(point: str) -> None:
    """Pass a named place."""
