"""A selection as it is kept with its backfill, and whether a plan is worth its money."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cost import Estimate
from worker.records import Item, Member
from worker.selection import ChunkSizes, Only, Plan, Selection

moments = st.none() | st.datetimes(timezones=st.just(UTC))
words = st.none() | st.text(max_size=9)


@given(
    st.builds(
        Selection,
        source=st.text(max_size=9),
        since=moments,
        until=moments,
        only=st.sampled_from(Only),
        label=words,
        scorer=words,
        model_version=words,
        contains=words,
        target_version=words,
        limit=st.none() | st.integers(1),
    )
)
def test_a_selection_survives_the_database(selection: Selection) -> None:
    assert Selection.from_json(json.loads(json.dumps(selection.as_json()))) == selection


def test_a_zone_is_kept_as_the_same_moment() -> None:
    since = datetime.fromisoformat("2026-03-01T00:00:00+02:00")
    found = Selection.from_json(Selection("s", since=since).as_json())
    assert found.since == since
    assert found.since.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    ("records", "max_cost", "worth"),
    [(5, None, True), (5, 0.02, True), (5, 0.01, True), (5, 0.009, False), (0, None, False),
     (0, 1.0, False), (5, 0.0, False)],
)  # fmt: skip
def test_a_plan_is_worth_it_up_to_its_limit(
    records: int, max_cost: float | None, worth: bool
) -> None:
    estimate = Estimate(invocations=1, gb_seconds=1, cost_usd=0.01, duration_s=1)
    assert Plan(records, records, 1, 0, estimate).is_worth(max_cost) is worth


def test_sizes_that_were_kept_cut_the_same_chunks() -> None:
    items = [Item("x" * n, (Member(n, b""),)) for n in range(1, 30)]
    sizes = ChunkSizes(chunk_texts=4, chunk_bytes=2_000)
    cut = list(sizes.planner()(items))
    assert max(map(len, cut)) == 4
    assert cut == list(ChunkSizes(4, 2_000).planner()(items))
