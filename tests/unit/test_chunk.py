from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.make import chunk as make_chunk
from worker.chunk import ENVELOPE_BYTES, distinct, plan, serialised_bytes, split
from worker.clean import clean
from worker.records import Item, Member
from worker.scoring import wire

texts = st.lists(st.text(max_size=300), max_size=80)


def items(found: list[str]) -> list[Item]:
    return distinct((Member(n, b""), clean(text).text) for n, text in enumerate(found))


@given(texts)
def test_every_member_is_in_exactly_one_chunk(found: list[str]) -> None:
    chunks = list(plan(items(found), max_items=7, max_bytes=2_000))
    members = [m.record_id for c in chunks for item in c for m in item.members]
    assert sorted(members) == list(range(len(found)))


@given(texts)
def test_no_chunk_has_more_texts_or_bytes_than_allowed(found: list[str]) -> None:
    for group in plan(items(found), max_items=7, max_bytes=2_000):
        assert len(group) <= 7
        size = ENVELOPE_BYTES + sum(serialised_bytes(item.text) for item in group)
        assert size <= 2_000 or len(group) == 1


@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=50))
def test_the_planned_bytes_are_never_below_the_real_payload(found: list[str]) -> None:
    chunk = make_chunk(*(clean(text).text for text in found))
    planned = ENVELOPE_BYTES + sum(serialised_bytes(item.text) for item in chunk.items)
    assert len(wire.encode(chunk)) <= planned


def test_identical_texts_are_sent_once_markup_aside() -> None:
    found = items(["same", "same", "<p>same</p>", "other"])
    assert [(item.text, len(item.members)) for item in found] == [("same", 3), ("other", 1)]


def test_texts_of_similar_length_share_a_chunk() -> None:
    groups = list(plan(items(["x" * 100, "a", "y" * 90, "b"]), max_items=2, max_bytes=10_000))
    assert [[len(i.text) for i in g] for g in groups] == [[1, 1], [90, 100]]


@given(st.integers(1, 100), st.integers(2, 5))
def test_a_split_loses_nothing_and_has_no_empty_part(count: int, ways: int) -> None:
    whole = [Item(str(n), (Member(n, b""),)) for n in range(count)]
    parts = split(whole, ways)
    assert [item for part in parts for item in part] == whole
    assert all(parts)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
