"""Workers that are broken on purpose, to see the harness fail them:

    python -m tests.faults.controls cursor_first|no_fence|no_lock serve ...

Another, an id cursor without overlap, needs only a configuration.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

from tests.faults import crashing
from worker.cli import main
from worker.store.journal import ingest, settle
from worker.store.ledger.holds import Holds

STOP_AT = ("settle.begun", 5)
"""Where a frozen worker sleeps: an answer in its hand."""


def cursor_first() -> None:
    """The cursor is committed, then the records are stored; and it dies between the two."""
    crashing.arm(signal.SIGKILL, "ingest.cursor_moved", 2)
    move = ingest.move_cursor

    def moved(cur: Any, *arguments: Any) -> bool:
        done = move(cur, *arguments)
        cur.connection.commit()
        return done

    ingest.move_cursor = moved  # type: ignore[assignment]  # broken on purpose


def no_fence() -> None:
    """Whoever has an answer writes it; and it sleeps before it does."""
    crashing.arm(signal.SIGSTOP, *STOP_AT)
    guard = "AND c.fence = u.fence AND c.state = 'open' AND c.leased_by IS NOT NULL"
    assert guard in settle._SETTLE
    settle._SETTLE = settle._SETTLE.replace(guard, "")


def no_lock() -> None:
    """Whoever comes runs the source."""
    Holds._take = lambda *_: True  # type: ignore[method-assign]  # broken on purpose


if __name__ == "__main__":
    {"cursor_first": cursor_first, "no_fence": no_fence, "no_lock": no_lock}[sys.argv[1]]()
    sys.argv = ["sentiment-worker", *sys.argv[2:]]
    main()
