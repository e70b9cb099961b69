"""The installed command with one crash point armed:

    python -m tests.faults.crashing kill|stop POINT N once reviews.csv

It ends itself by SIGKILL when POINT is passed for the N-th time, or stops itself (SIGSTOP) at
every N-th. Only this module can arm a point; the package has nothing that could.
"""

from __future__ import annotations

import os
import signal
import sys

from worker import crashpoint
from worker.cli import main


def arm(what: signal.Signals, point: str, times: int) -> None:
    assert point in (*crashpoint.POINTS, *crashpoint.TRANSCRIPTION), point
    armed, passed = point, 0

    def reached(point: str) -> None:
        nonlocal passed
        if point == armed:
            passed += 1
            if passed % times == 0:
                os.kill(os.getpid(), what)

    crashpoint.reached = reached


if __name__ == "__main__":
    action = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[sys.argv[1]]
    arm(action, sys.argv[2], int(sys.argv[3]))
    sys.argv = ["sentiment-worker", *sys.argv[4:]]
    main()
