"""Who gets in, by which name of the host, and what a browser is told of every answer."""

from __future__ import annotations

import asyncio
import base64
from functools import partial
from typing import Any
from unittest.mock import ANY

import pytest
from starlette.datastructures import Headers

from worker.errors import ConfigurationError
from worker.web.guard import HEADERS, AccessRules, Caller, Guard

OPEN = AccessRules()
TOKEN = "hünter2-"
KEY = AccessRules(token=TOKEN)
PROXIED = AccessRules(user_header="X-User")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says which method it saw; wants to be kept for a minute."""
    headers = [(b"cache-control", b"max-age=60"), (b"x-frame-options", b"ALLOWALL")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": scope["method"].encode()})


def ask(
    rules: AccessRules, method: str = "GET", guard: Any = Guard, **headers: Any
) -> tuple[int, dict[str, str], str]:
    """(status, headers, body); an underscore in a header's name is a hyphen."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    path = headers.pop("path", "/")
    told = {"host": "127.0.0.1:8090"} | headers
    raw = [
        (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in told.items()
    ]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(guard(app, rules)(scope, None, send))
    answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answer, sent[1]["body"].decode()


def status(rules: AccessRules, **headers: str) -> int:
    return ask(rules, **headers)[0]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8090", "[::1]", "[::1]:8090", "Scores.Example"]
)
def test_its_own_names_are_answered(host: str) -> None:
    assert status(AccessRules(hosts=["scores.EXAMPLE"]), host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "evil.example:127.0.0.1", "localhost:80:80",
     "::1", "127.0.0.2", "localhost:", "localhost:\u00b2"],
)  # fmt: skip
def test_any_other_name_is_refused_before_anybody_is_asked_who_they_are(host: str) -> None:
    assert status(KEY, host=host) == 421


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def as_headers_are_sent(text: str) -> str:
    return text.encode().decode("latin-1")


@pytest.mark.parametrize(
    "authorization",
    [
        basic("anybody", TOKEN),
        basic("", TOKEN).replace("Basic", "basic"),
        "bEARER  " + as_headers_are_sent(TOKEN),
    ],
)
def test_the_key_lets_in_whoever_has_it(authorization: str) -> None:
    assert status(KEY, authorization=authorization) == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer hunter2-", "Bearer h\u00fcnter2-", "hünter2-", "Basic !", "Basic /w==",
     basic(TOKEN, ""), basic("a", "b:hünter2-"), "Digest hünter2-"],
)  # fmt: skip
def test_anything_else_is_asked_who_they_are(authorization: str) -> None:
    code, headers, body = ask(KEY, authorization=authorization)
    assert code == 401
    assert headers["www-authenticate"].startswith("Basic ")
    assert "nter2-" not in body


def test_a_proxys_word_counts_only_where_it_was_asked_for() -> None:
    assert status(PROXIED, x_user="ana") == 200
    assert status(PROXIED, x_user="") == 401
    assert "www-authenticate" not in ask(PROXIED)[1], "a browser would ask for a password"
    assert status(KEY, x_user="ana") == 401
    assert status(OPEN) == 200


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer no"}, {"host": "evil.example"}])
def test_every_answer_is_dressed_and_refusals_too(headers: dict[str, str]) -> None:
    _, answer, _ = ask(KEY, **headers)
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= answer.items()
    assert answer["cache-control"] == "no-store"


def test_what_a_page_says_of_its_age_is_kept() -> None:
    assert ask(OPEN)[1]["cache-control"] == "max-age=60"


def test_a_head_is_asked_as_a_get() -> None:
    assert ask(OPEN, method="HEAD")[2] == "GET"


ORIGIN = "http://127.0.0.1:8090"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 403),
        ({"origin": ORIGIN}, 200),
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ORIGIN, "sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "none"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
    ],
)
def test_only_a_page_of_this_site_changes_anything(headers: dict[str, str], expected: int) -> None:
    assert ask(OPEN, method="POST", **headers)[0] == expected
    assert ask(OPEN, **headers)[0] == 200, "to read it may be linked from anywhere"


def test_who_asks_is_known_by_name_and_by_what_they_may() -> None:
    rules = AccessRules(token=TOKEN, reviewer_token="judges-too", user_header="X-User")
    guard = Guard(app, rules)
    for headers, expected in (
        ({"authorization": basic("ana", TOKEN)}, Caller("ana", may_judge=False)),
        ({"authorization": basic("rita\n ", "judges-too")}, Caller("rita", may_judge=True)),
        ({"authorization": basic(" ", "judges-too")}, Caller("", may_judge=False)),
        ({"authorization": "Bearer judges-too"}, Caller("", may_judge=False)),
        ({"X-User": "x" * 300}, Caller("x" * 200, may_judge=True)),
        ({"authorization": basic("ana", "")}, None),
    ):
        assert guard._caller(Headers(headers)) == expected
    with pytest.raises(ConfigurationError, match="nobody can judge"):
        KEY.require_reviewers()


def test_a_websocket_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Guard(app, OPEN)({"type": "websocket", "headers": []}, None, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close"}]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "scores.example", "", "127.0.0.1.nip.io"]
)
def test_an_address_that_others_reach_takes_a_key_or_a_proxy(host: str) -> None:
    with pytest.raises(ConfigurationError, match="could read every record") as raised:
        OPEN.require_for(host)
    assert "SENTIMENT_DASHBOARD_TOKEN" in raised.value.hint
    KEY.require_for(host)
    PROXIED.require_for(host)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_loopback_takes_nothing(host: str) -> None:
    OPEN.require_for(host)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8090"}, 200),
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_programs_say_no_origin_and_pages_elsewhere_are_refused(
    headers: dict[str, str], status: int
) -> None:
    assert ask(OPEN, "POST", partial(Guard, for_programs=True), **headers)[0] == status


def test_who_only_asks_whether_it_is_alive_needs_no_token_and_no_name() -> None:
    assert ask(KEY, host="10.0.0.7:8090", path="/livez") == (200, ANY, "alive\n")
    assert ask(KEY, "POST", host="10.0.0.7:8090", path="/livez")[0] == 421
    assert ask(KEY, host="10.0.0.7:8090", path="/livez/")[0] == 421


def test_of_a_page_a_change_without_an_origin_is_refused() -> None:
    assert ask(OPEN, "POST")[0] == 403
