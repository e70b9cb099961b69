"""The installed command with one crash point armed:

    python -m tests.faults.crashing POINT N once reviews.csv

It ends itself by SIGKILL when POINT is passed for the N-th time. Only this module can arm a
point; the package has nothing that could.
"""

from __future__ import annotations

import os
import signal
import sys

from worker import crashpoint
from worker.cli import main


def arm(point: str, times: int) -> None:
    assert point in crashpoint.POINTS, point
    left = times

    armed = point

    def reached(point: str) -> None:
        nonlocal left
        if point == armed:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    crashpoint.reached = reached


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["sentiment-worker", *sys.argv[3:]]
    main()
