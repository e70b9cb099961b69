from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.clean import MAX_MODEL_CHARS, MAX_STORED_CHARS, clean, model_text, storable

anything = st.text(st.characters(exclude_categories=()))


@given(anything)
def test_what_is_stored_is_valid_utf8_without_nul(text: str) -> None:
    cleaned = clean(text)
    cleaned.text.encode()
    assert "\0" not in cleaned.text
    assert bool(cleaned.flags) == (cleaned.original_hash is not None) == (cleaned.text != text)


@given(anything)
def test_cleaning_is_idempotent(text: str) -> None:
    once = clean(text)
    assert clean(once.text).text == once.text


def test_a_pair_written_as_two_escapes_is_a_character_and_a_lone_half_is_lost() -> None:
    assert clean("\ud83d\ude00").text == "\N{GRINNING FACE}"
    assert clean("a\ud83db").text == "a\N{REPLACEMENT CHARACTER}b"
    assert clean("a\ud83db").flags == ("surrogate",)


@pytest.mark.parametrize("text", ["", "  ", "\n\t", "\0", "\u2003"])
def test_empty_and_blank_texts_are_skipped(text: str) -> None:
    assert clean(text).skip_reason == "empty"


def test_a_text_of_megabytes_is_cut_and_flagged() -> None:
    cleaned = clean("x" * (MAX_STORED_CHARS + 1))
    assert len(cleaned.text) == MAX_STORED_CHARS
    assert cleaned.flags == ("cut",)
    assert len(model_text(cleaned.text)) == MAX_MODEL_CHARS


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("plain < text & more", "plain < text & more"),
        ("<p>Fine &amp; <b>dandy</b></p><p>Next</p>", "Fine & dandy Next"),
        ("a<br>b", "a b"),
        ("<script>alert(1)</script>good", "good"),
        ("I <3 this", "I <3 this"),
        ("&nbsp;", "&nbsp;"),
        ("<b>x</b> <![bogus[ y", "x <![bogus[ y"),
        ("<!-- not this -->that", "that"),
        ("<script>never closed", "<script>never closed"),
    ],
)
def test_the_model_reads_no_markup(stored: str, read: str) -> None:
    assert model_text(stored) == read


@pytest.mark.parametrize("piece", ["<a ", "<a b='", "<script>", "<!--", "&amp", "</"])
def test_hostile_markup_costs_milliseconds(piece: str) -> None:
    started = time.process_time()
    model_text("<b>x</b>" + piece * 20_000)
    assert time.process_time() - started < 1


def test_ids_lose_what_the_database_refuses() -> None:
    assert storable("a\0b\ud800") == "ab\N{REPLACEMENT CHARACTER}"
