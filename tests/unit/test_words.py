"""Names that were probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.words import SHOWN, instead, is_slip, many, nearest

names = st.text("abc", max_size=6)


def one_edit_away(name: str) -> set[str]:
    """By trying them all."""
    cuts = [(name[:n], name[n:]) for n in range(len(name) + 1)]
    swapped = {left + right[1::-1] + right[2:] for left, right in cuts if len(right) > 1}
    missing = {left + right[1:] for left, right in cuts if right}
    added = {left + c + right for left, right in cuts for c in "abc"}
    changed = {left + c + right[1:] for left, right in cuts if right for c in "abc"}
    return (swapped | missing | added | changed) - {name}


@given(names, names)
def test_a_slip_is_one_edit_and_nothing_else_is(typed: str, name: str) -> None:
    assert is_slip(typed, name) == (typed in one_edit_away(name))


@given(names, st.data())
def test_every_edit_is_a_slip(name: str, data: st.DataObject) -> None:
    assert is_slip(data.draw(st.sampled_from(sorted(one_edit_away(name)))), name)


def test_a_name_is_found_whatever_its_case_and_given_as_it_is_written() -> None:
    assert nearest("untied", ["Delta", "United"]) == "United"
    assert nearest("zzz", ["Delta", "United"]) is None


def test_a_hint_lists_what_there_is_and_counts_what_it_leaves_out() -> None:
    hint = instead("a10", [f"a{n}" for n in range(SHOWN + 3)])
    assert "Did you mean 'a10'?" in hint
    assert "a19, and 3 more." in hint
    assert "a20" not in hint
    assert instead("x", iter(())) == "There are none yet."


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_345, "12,345 rows")]
)
def test_a_count_has_its_noun(count: int, said: str) -> None:
    assert many(count, "row", "rows") == said
