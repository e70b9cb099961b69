"""A place without a file: said once, and an error only where it lasts."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from worker.errors import SourceUnavailable
from worker.sources.files.emptiness import EMPTY_RUNS, Emptiness


def emptiness(before: int, *, may_be_empty: bool = False) -> Emptiness:
    places = ["/in/*.csv", "/old"]
    return Emptiness("s", places, may_be_empty=may_be_empty, before=lambda: before)


def test_the_first_empty_run_warns_and_the_next_does_not() -> None:
    with capture_logs() as logged:
        first, second = emptiness(0).remark(), emptiness(1).remark()
    assert [each["log_level"] for each in logged] == ["warning"]
    assert first == second
    assert first.found_nothing
    assert "/in/*.csv, /old" in first.what


def test_the_third_in_a_row_fails_and_so_does_each_after_it() -> None:
    for before in (EMPTY_RUNS - 1, EMPTY_RUNS, 100):
        with pytest.raises(SourceUnavailable, match=r"/in/\*\.csv, /old"):
            emptiness(before).raise_if_too_often()


def test_a_place_that_may_be_empty_never_fails() -> None:
    emptiness(100, may_be_empty=True).raise_if_too_often()
