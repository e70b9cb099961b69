"""Database URLs as people write and mistype them."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from worker.errors import ConfigurationError
from worker.urls import name_in, parse, place, shown

SECRET = "c4nary"


def test_libpqs_list_of_hosts_is_taken_one_by_one() -> None:
    found = parse("postgresql://u:p@a:5433,b/db?sslmode=require", "it")
    assert found.query == {"host": ("a:5433", "b"), "sslmode": "require"}
    assert (found.username, found.database, found.host) == ("u", "db", None)


def test_one_host_is_left_as_it_is_and_a_comma_in_a_password_is_no_list() -> None:
    assert parse("postgresql://u:p@a:5433/db", "it").host == "a"
    assert parse("postgresql://u:p,q@a/db", "it").password == "p,q"


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_a_password_of_any_characters_comes_through_as_sqlalchemy_writes_it(password: str) -> None:
    written = URL.create("postgresql", "u", password, "h", 5432, "db")
    found = parse(written.render_as_string(hide_password=False), "it")
    assert (found.password, found.host, found.database) == (password, "h", "db")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@b@h/db",
        f"postgresql://u:p@{SECRET}@h/db",
        f"postgresql://u:{SECRET}@h:port/db",
        f"u:{SECRET}@h/db",
        f"postgresql:/u:{SECRET}@h/db",
        f"://{SECRET}",
    ],
)
def test_a_mistake_is_named_and_the_password_is_nowhere(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as raised:
        parse(url, "DATABASE_URL")
    assert SECRET not in "".join(traceback.format_exception(raised.value)) + raised.value.hint
    assert SECRET not in shown(url)


def test_what_is_shown_has_neither_password_nor_options() -> None:
    url = f"postgresql://u:{SECRET}@h/db?password={SECRET}&sslkey={SECRET}"
    assert shown(url) == "postgresql://u:***@h/db"


def test_a_place_is_another_for_another_database_or_server() -> None:
    one = place(parse(f"postgresql://u:{SECRET}@h:5432/db?application_name=x", "it"))
    for other in ("postgresql://u@h:5432/other", "postgresql://u@g:5432/db", "mysql://u@h:5432/db"):
        assert place(parse(other, "it")) != one
    assert one.startswith("postgresql://")
    assert one.endswith("h:5432/db")
    assert name_in(one) == "db"
    assert SECRET not in one


def test_a_place_is_the_same_for_every_login() -> None:
    one = place(parse(f"mysql+pymysql://u:{SECRET}@h/db", "it"))
    assert one == place(parse("mysql+pymysql://other@h/db", "it")) == "mysql+pymysql://h/db"
