"""Which pages share a transaction."""

from __future__ import annotations

from tests.make import record
from worker.pipeline.feed import GATHERED_CHARS, GATHERED_ROWS, Gathered
from worker.records import Page


def page(partition: str, *ids: str, text: str = "a text") -> Page:
    return Page(partition, {}, [record(id_, text) for id_ in ids])


def test_small_pages_of_different_files_fit_together() -> None:
    gathered = Gathered()
    gathered.add(page("a", "1"))
    assert gathered.fits(page("b", "2"))
    assert not gathered.fits(page("a", "2")), "its cursor would move twice"
    assert not gathered.fits(page("b", "1")), "the record would lose a revision"


def test_what_is_gathered_is_bounded_in_rows_and_in_size() -> None:
    gathered = Gathered()
    gathered.add(page("a", *map(str, range(GATHERED_ROWS - 1))))
    assert not gathered.is_full
    assert not gathered.fits(page("b", "x", "y"))
    large = Gathered()
    large.add(page("a", "1", text="x" * (GATHERED_CHARS // 2)))
    assert not large.fits(page("b", "2", text="x" * (GATHERED_CHARS // 2 + 1)))
    large.add(page("b", "2", text="x" * (GATHERED_CHARS // 2 + 1)))
    assert large.is_full
    assert [each.partition for each in large.take()] == ["a", "b"]
    assert len(large) == 0
