"""The rule of a partition's ids is not changed under what is stored."""

from __future__ import annotations

from typing import Any

import pytest

from worker.errors import ConfigurationError
from worker.sources.rows.identity import (
    ANY,
    columns_digest,
    kept,
    require_one_layout,
    require_same,
    require_same_as_unkept,
    rules_in,
    unkept,
)
from worker.sources.rows.layout import CONTENT_ID, ROW_ID, Layout

BEFORE = {"id": "review_id", "text": "body", "columns": "abc"}
BY_CONTENT = {"id": CONTENT_ID, "text": "body", "columns": "abc"}


def test_columns_are_the_same_in_any_order_and_in_every_version() -> None:
    assert columns_digest(["id", "text"]) == columns_digest(iter(["text", "id"])) == "ddc2abc0e2a5"
    assert columns_digest(["id", "text"]) != columns_digest(["idtext"])


def test_what_was_read_before_fills_in_what_nobody_says_and_no_more() -> None:
    position = {"identity": BEFORE}
    assert kept(Layout(), position) == Layout(id="review_id", text="body")
    assert kept(Layout(id=ROW_ID), position).id == ROW_ID, "refused later, in a sentence"
    assert kept(Layout(time="at"), {}) == Layout(time="at")


@pytest.mark.parametrize("changed", [{"id": "other"}, {"text": "title"}, {"id": CONTENT_ID}])
def test_another_id_or_text_is_refused_and_the_old_one_advised(changed: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"a\.csv") as raised:
        require_same({"identity": BEFORE}, BEFORE | changed, "a.csv")
    assert "--id review_id --text body" in raised.value.hint


def test_other_columns_matter_only_where_ids_are_derived_from_them() -> None:
    require_same({"identity": BEFORE}, BEFORE | {"columns": "xyz"}, "a.csv")
    with pytest.raises(ConfigurationError, match="other columns"):
        require_same({"identity": BY_CONTENT}, BY_CONTENT | {"columns": "xyz"}, "a.csv")


@pytest.mark.parametrize(
    ("position", "found"),
    [({}, BEFORE), ({"identity": BEFORE}, None), ({"identity": BY_CONTENT}, BY_CONTENT),
     ({"identity": {**BY_CONTENT, "columns": ANY}}, BY_CONTENT),
     ({"identity": {"id": CONTENT_ID, "text": "body"}}, BY_CONTENT)],
)  # fmt: skip
def test_what_is_the_same_or_unknown_is_no_change(position: Any, found: Any) -> None:
    require_same(position, found, "a.csv")


def test_rules_are_found_by_the_columns_that_they_were_made_for() -> None:
    positions: dict[str, Any] = {
        "a": {"identity": BEFORE},
        "b": {"stamp": 1},
        "c": {"identity": {"id": "id"}},
    }
    assert rules_in(positions) == {"abc": "review_id"}


def test_files_of_different_columns_are_one_source_only_where_somebody_says_so() -> None:
    require_one_layout({"a.csv": "x", "b.csv": "x"}, "s")
    with pytest.raises(ConfigurationError, match=r"^a\.csv and c\.csv") as raised:
        require_one_layout({"b.csv": "x", "c.csv": "y", "a.csv": "x"}, "s")
    assert "--name s" in raised.value.hint


def test_a_partition_of_a_version_that_kept_no_identity_is_known_by_its_layouts_digest() -> None:
    position = {"offset": 10, "layout": Layout(id="key").digest()}
    columns = ["id", "key", "text"]

    def require(layout: Layout) -> None:
        require_same_as_unkept(position, Layout.digest, layout, columns, "a.csv")

    require(Layout(id="key"))
    for changed in (Layout(), Layout(id=ROW_ID)):
        with pytest.raises(ConfigurationError, match="ids from 'key'"):
            require(changed)
    require(Layout(time="at"))  # something else has changed: nothing can be told


@pytest.mark.parametrize(
    ("position", "left"),
    [({}, None), ({"stamp": 1, "layout": "x"}, None), ({"offset": 1, "identity": {}}, None),
     ({"offset": 1}, {"offset": 1}), ({"before": {"offset": 1}}, {"offset": 1})],
)  # fmt: skip
def test_what_a_version_without_identities_had_read(position: Any, left: Any) -> None:
    assert unkept(position) == left
