"""What reaches a log or a terminal has neither a credential nor a control character in it."""

from __future__ import annotations

import pytest

from worker import log

SECRET = "c4nary"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{SECRET}@h/db",
        f"could not connect to mysql+pymysql://u:{SECRET}@h:3306/db, trying http://x:{SECRET}@y",
        f"https://:{SECRET}@proxy",
        f"postgresql://u:more@{SECRET}@h/db",
        f"postgresql://u:{SECRET}:more@h/db",
    ],
)
def test_a_password_in_a_url_is_hidden(text: str) -> None:
    shown = log.printable(text)
    assert SECRET not in shown
    assert ":***@" in shown


@pytest.mark.parametrize(
    "text", ["http://h/a@b", "at 12:30 to ana@example.org", "s3://bucket/a:b@c", "a\tb\nc"]
)
def test_what_is_no_password_is_left_as_it_is(text: str) -> None:
    assert log.printable(text) == text


@pytest.mark.parametrize("character", ["\x1b", "\0", "\r", "\x7f", "\x9b", "\u202e", "\u2066"])
def test_what_would_move_the_cursor_or_turn_a_line_round_is_replaced(
    character: str,
) -> None:
    assert log.printable(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b"
