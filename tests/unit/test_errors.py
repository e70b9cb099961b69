"""Which of several errors a person sees."""

from __future__ import annotations

from worker.errors import SourceUnavailable, first_of

GONE = SourceUnavailable("There is no file.")


def test_our_error_is_shown_before_the_librarys_however_deep_it_lies() -> None:
    deep = ExceptionGroup("outer", [OSError(), ExceptionGroup("inner", [KeyError(), GONE])])
    assert first_of(deep) is GONE
    assert isinstance(first_of(ExceptionGroup("outer", [OSError("disk")])), OSError)
