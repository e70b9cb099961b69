"""Where log lines leave the process, by a thread of their own: no work, and no signal, waits for a
log that nobody reads, and a full disk under it costs lines alone."""

from __future__ import annotations

import queue
import threading
from typing import TextIO

LINES = 10_000
"""That wait at most; what comes on top is left out, and how many they were is said."""

PATIENCE_S = 1.0
"""How long the end of the process waits for the last lines."""


class Outlet:
    """A text stream for loggers that never blocks and never fails."""

    def __init__(self, stream: TextIO, lines: int = LINES) -> None:
        self._stream = stream
        self._waiting: queue.Queue[str] = queue.Queue(lines)
        self._left_out = 0
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._write_on, name="log", daemon=True).start()

    def write(self, text: str) -> None:
        self._idle.clear()
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self._left_out += 1

    def flush(self) -> None:
        """Each line is flushed when it is written."""

    def drain(self, patience_s: float = PATIENCE_S) -> bool:
        """Wait until everything is written, for so many seconds at most; says whether it is."""
        return self._idle.wait(patience_s)

    def _write_on(self) -> None:
        while True:
            text = self._waiting.get()
            self._write(text)
            if self._left_out:
                count, self._left_out = self._left_out, 0
                self._write(f"{count} lines of the log were left out: nobody took them.\n")
            if self._waiting.empty():
                self._idle.set()

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe, a full disk, a closed file
            pass
