"""The error tree. An error's class says what the caller must do; its text is for a person.

Driver errors (botocore, psycopg, SQLAlchemy, OSError) are wrapped once, where they enter,
with the cause kept. Exit codes are those of the command line (see docs/operations.md).
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command; 130 and 143 (signals) come from the shell's convention."""

    DONE = 0
    FAILED = 1
    MISUSED = 2
    DATABASE_UNREACHABLE = 3
    SOURCE_BUSY = 4
    QUARANTINED = 5
    DEGRADED = 6
    OVER_BUDGET = 7


class WorkerError(Exception):
    """Root of every error that this package raises on purpose.

    `hint` is one sentence that says what to do about it.
    """

    exit_code = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigurationError(WorkerError):
    """A person must change a setting; trying again will not help."""

    exit_code = Exit.MISUSED


class Unknown(ConfigurationError):
    """It names something that is not there: a typo is no empty answer."""


class Misasked(ConfigurationError):
    """The question makes no sense: a period that ends before it begins."""


class Forbidden(ConfigurationError):
    """Whoever asks may not do that."""


class TooSlow(ConfigurationError):
    """A question took longer than its limit, or its statement was ended."""


class SchemaOutdated(ConfigurationError):
    """The database lacks migrations that this version needs, or is ahead of it."""


class DatabaseUnavailable(WorkerError):
    """The database does not answer now; the same call may work later."""

    exit_code = Exit.DATABASE_UNREACHABLE


class Stuck(WorkerError):
    """Something that work depends on has hung for a minute."""


class SourceBusy(WorkerError):
    """Another run holds the source; this one did nothing."""

    exit_code = Exit.SOURCE_BUSY


class TakenOver(WorkerError):
    """This process slept past its lease and another took over its run; nothing is lost."""

    exit_code = Exit.SOURCE_BUSY


class SourceUnavailable(WorkerError):
    """The source cannot be read now; the cursor has not moved and nothing is lost."""


class CursorMoved(WorkerError):
    """Another run moved this cursor; what this run read since then was rolled back."""


def first_of(errors: ExceptionGroup[Exception]) -> Exception:
    """The error that a person should see: ours before the library's."""
    leaves: list[Exception] = []
    stack: list[BaseException] = [errors]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack.extend(error.exceptions)
        elif isinstance(error, Exception):
            leaves.append(error)
    return next((e for e in leaves if isinstance(e, WorkerError)), leaves[0])
