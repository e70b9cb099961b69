"""Log lines: no work waits for them, and lines that are lost are counted."""

from __future__ import annotations

import threading
from io import StringIO

from worker.outlet import Outlet


class Stalled(StringIO):
    """A stream that nobody reads until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def write(self, text: str) -> int:
        self.let_go.wait(60)
        return super().write(text)


class Failing(StringIO):
    """A full disk, for as long as `full`."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_lines_are_written_in_order() -> None:
    stream = StringIO()
    outlet = Outlet(stream)
    for number in range(100):
        outlet.write(f"{number}\n")
    assert outlet.drain(60)
    assert stream.getvalue().split() == [str(number) for number in range(100)]


def test_nobody_waits_for_a_stream_that_is_not_read_and_what_is_dropped_is_told() -> None:
    stream = Stalled()
    outlet = Outlet(stream, lines=10)
    outlet.tell = "{} dropped\n".format
    for number in range(50):
        outlet.write(f"{number}\n")  # would block for ever
    assert not outlet.drain(0.01)
    stream.let_go.set()
    assert outlet.drain(60)
    lines = stream.getvalue().splitlines()
    lost = sum(int(line.split()[0]) for line in lines if line.endswith("dropped"))
    written = [line for line in lines if line.isdecimal()]
    assert len(written) <= 11, "one may have been on its way"
    assert len(written) + lost == 50


def test_lines_that_a_full_disk_refused_are_told_once_there_is_room() -> None:
    stream = Failing()
    outlet = Outlet(stream)
    outlet.tell = "{} dropped\n".format
    outlet.write("a\n")
    outlet.write("b\n")
    assert outlet.drain(60)
    stream.full = False
    outlet.write("c\n")
    outlet.write("d\n")
    assert outlet.drain(60)
    assert stream.getvalue().splitlines() == ["c", "2 dropped", "d"]
