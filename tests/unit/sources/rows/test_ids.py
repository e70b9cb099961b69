"""Which column is a record's id: taken where it is plain, asked about where it may be."""

from __future__ import annotations

from typing import Any

import pytest

from worker.errors import ConfigurationError
from worker.sources.rows import ids
from worker.sources.rows.layout import CONTENT_ID


def rows(**columns: list[Any]) -> list[dict[str, Any]]:
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def chosen(file: str, **columns: list[Any]) -> str:
    return ids.choose(None, list(columns), rows(**columns), file).rule


TEXTS = [f"text {n}" for n in range(100)]
EACH = [str(n) for n in range(100)]


@pytest.mark.parametrize(
    ("file", "column"),
    [("tweets.csv", "tweet_id"), ("export.csv", "review_id"), ("x.jsonl", "uuid"), ("x.csv", "KEY"),
     ("x.csv", "reviewId"), ("orders.csv", "order_id"), ("x.csv", "Comment-ID")],
)  # fmt: skip
def test_the_records_own_id_is_taken(file: str, column: str) -> None:
    assert chosen(file, text=TEXTS, **{column: EACH}) == column


def test_a_usual_name_wins_and_the_others_are_named() -> None:
    found = ids.choose(None, ["text", "tweet_id", "ID"], rows(text=TEXTS), "tweets.csv")
    assert (found.rule, found.others) == ("ID", ("tweet_id",))


@pytest.mark.parametrize("column", ["customer_id", "user_id", "product_key"])
def test_another_things_id_is_asked_about(column: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{column}' may be it") as error:
        chosen("reviews.csv", text=TEXTS, **{column: EACH})
    assert f"--id {column}; or --id content" in error.value.hint


def test_an_id_that_repeats_is_none() -> None:
    assert chosen("reviews.csv", text=TEXTS, customer_id=["7"] * 100) == CONTENT_ID
    assert chosen("reviews.csv", text=TEXTS, review_id=["7", *EACH[2:], "7"][:100]) == "review_id"
    assert chosen("reviews.csv", text=TEXTS, review_id=["", *EACH[1:]]) == CONTENT_ID
    assert chosen("reviews.csv", text=TEXTS, paid=["y"] * 100) == CONTENT_ID


def test_rows_that_repeat_whole_do_not_count_against_it() -> None:
    assert chosen("tweets.csv", text=TEXTS * 2, tweet_id=EACH * 2) == "tweet_id"


def test_two_that_may_be_it_are_asked_about() -> None:
    with pytest.raises(ConfigurationError, match="'tweet_id' and 'post_id' may be it"):
        chosen("feed.csv", text=TEXTS, tweet_id=EACH, post_id=EACH)


def test_what_was_said_is_not_doubted() -> None:
    assert ids.choose("row", ["text", "tweet_id"], (), "tweets.csv").rule == "row"
