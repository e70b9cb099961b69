"""A JSON API as a source: what is asked for, what may go wrong, and that nothing is lost by it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web_api import Asked, Said, WebApi
from worker.errors import ConfigurationError, SourceUnavailable
from worker.records import Page, Position
from worker.sources.http import HttpSourceConfig
from worker.sources.web.api import HttpSource
from worker.sources.web.client import Asking, Client

CURSOR = {"url": "desk", "records": "tickets", "pagination": "cursor", "next": "meta.after_cursor"}
NUMBERED = {"url": "site", "records": "reviews", "pagination": "page"}
OFFSET = {"url": "plain", "pagination": "offset"}
LINKS = {"url": "forum", "pagination": "link"}
NOON = "2026-03-01T12:00:00Z"


@pytest.fixture
def api() -> Iterator[WebApi]:
    with WebApi(page_size=10) as api:
        yield api


class Reader:
    """Reads again and again, keeping the cursor as the journal would."""

    def __init__(self, api: WebApi, about: dict[str, Any], **more: Any) -> None:
        told = about | {"url": api.url(about["url"])} | more
        told = {"name": "s", "time": "time", "allow_private": ["127.0.0.1"]} | told
        self.config = HttpSourceConfig.model_validate(told)
        self.positions: dict[str, Position] = {}
        self.texts: dict[str, str] = {}
        self.pages: list[Page] = []

    def read(self, limit: int | None = None) -> int:
        """How many records came."""
        self.pages = []
        for number, page in enumerate(HttpSource(self.config).pages(self.positions), 1):
            self.positions[page.partition] = json.loads(json.dumps(page.position))
            self.texts |= {record.external_id: record.text for record in page.records}
            self.pages.append(page)
            if number == limit:
                break
        return sum(len(page.records) for page in self.pages)


def many(first: int, last: int) -> dict[int, str | None]:
    return {n: f"text {n}" for n in range(first, last)}


def once(n: int, said: Said) -> Any:
    """Of all requests the nth gets this answer."""
    return lambda asked, count: said if count == n else None


@pytest.mark.parametrize("about", [CURSOR, NUMBERED, OFFSET])
def test_only_what_is_newer_is_asked_for(api: WebApi, about: dict[str, Any]) -> None:
    api.put(many(0, 35))
    reader = Reader(api, about, since="since", overlap="3m")
    reader.read()
    assert len(reader.texts) == 35
    assert "since" not in api.asked[0].query
    api.asked.clear()
    api.put(many(0, 40))
    assert reader.read() == 5 + 4, "three minutes of overlap"
    assert api.asked[0].query["since"] == "2026-03-01T00:31:00Z"
    assert len(reader.texts) == 40


@pytest.mark.parametrize(
    ("written", "value"), [("unix", "1772323680"), ("unix_ms", "1772323680000")]
)
def test_a_time_is_written_as_the_api_wants_it(api: WebApi, written: str, value: str) -> None:
    api.put(many(0, 9))
    reader = Reader(api, CURSOR, since="from_time", since_format=written, overlap=0)
    reader.read()
    reader.read()
    assert api.asked[-1].query["from_time"] == value


@pytest.mark.parametrize("about", [NUMBERED, OFFSET])
@pytest.mark.parametrize("change", ["came", "went", "both"])
def test_pages_that_shift_while_they_are_read_lose_nothing(
    api: WebApi, about: dict[str, Any], change: str
) -> None:
    api.put(many(0, 60))

    def hurdle(asked: Asked, n: int) -> None:
        if n == 3 and change in ("came", "both"):  # newest first: they push the others back
            api.put({int(r["id"]): r["text"] for r in api.rows} | many(60, 67))
        if n == 4 and change in ("went", "both"):  # what moves up was on a page not yet read
            gone = {3, 7, 25, 44, 51, 52, 58}
            api.put({int(r["id"]): r["text"] for r in api.rows if r["id"] not in gone})

    api.hurdle = hurdle
    reader = Reader(api, about, since="since", overlap="1m")
    reader.read()
    reader.read()  # what came to a page that had been read is newer than the newest then
    there = {str(row["id"]) for row in api.rows}
    assert there <= reader.texts.keys()


@pytest.mark.parametrize("gone", [7, 9, 10, 12, 13, 15, 25])
@pytest.mark.parametrize("at_request", [2, 3, 4])
def test_by_offset_whole_pages_may_go(api: WebApi, gone: int, at_request: int) -> None:
    """What was further down is then a page or more further up."""
    api.put(many(0, 60))

    def hurdle(asked: Asked, n: int) -> None:
        if n == at_request:
            api.put({int(row["id"]): row["text"] for row in api.rows[gone:]})

    api.hurdle = hurdle
    reader = Reader(api, OFFSET, since="since", overlap="1m")
    reader.read()
    assert {str(row["id"]) for row in api.rows} <= reader.texts.keys()
    assert reader.positions[""]["since"], "the reading came to its end"


def test_records_that_move_at_each_request_end_the_run(api: WebApi) -> None:
    def hurdle(asked: Asked, n: int) -> None:
        api.put(dict.fromkeys(range(n * 1000, n * 1000 + 60), "text"))

    api.hurdle = hurdle
    with pytest.raises(SourceUnavailable, match="move while they are read") as ended:
        Reader(api, OFFSET).read()
    assert 'pagination = "cursor"' in ended.value.hint


def test_while_numbered_pages_never_rest_the_newest_time_stays(api: WebApi) -> None:
    api.put(many(0, 30))
    api.hurdle = lambda asked, n: api.put(many(0, 30 + n))
    reader = Reader(api, NUMBERED, since="since")
    reader.read()
    assert "since" not in reader.positions[""], "the next run asks for all of it again"
    api.hurdle = lambda asked, n: None
    reader.read()
    assert reader.positions[""]["since"]
    assert {str(row["id"]) for row in api.rows} <= reader.texts.keys()


def test_a_page_that_is_killed_is_gone_on_from(api: WebApi) -> None:
    api.put(many(0, 50))
    reader = Reader(api, CURSOR, since="since")
    assert reader.read(limit=2) == 20
    api.asked.clear()
    assert reader.read() == 30
    assert api.asked[0].query["cursor"] == base64.b64encode(b"20").decode()
    assert len(reader.texts) == 50


def test_a_cursor_that_the_api_has_forgotten_begins_again(api: WebApi) -> None:
    api.put(many(0, 50))
    reader = Reader(api, CURSOR, since="since")
    reader.read(limit=2)
    api.hurdle = lambda asked, n: Said(400, {"error": "expired"}) if n == 3 else None
    reader.read()
    assert len(reader.texts) == 50


@pytest.mark.parametrize(
    "bad",
    [
        Said(429, {}, {"Retry-After": "0"}),
        Said(500, {}),
        Said(502, b"<html>"),
        Said(200, b"[1", cut=True),
    ],
    ids=["throttled", "500", "502", "cut"],
)
@pytest.mark.parametrize("about", [CURSOR, NUMBERED, OFFSET, LINKS], ids=lambda a: a["pagination"])
def test_a_hiccup_is_asked_again(api: WebApi, about: dict[str, Any], bad: Said) -> None:
    api.put(many(0, 35))
    api.hurdle = once(2, bad)
    reader = Reader(api, about)
    reader.read()
    assert len(reader.texts) == 35


def test_it_waits_as_long_as_it_is_told_to_and_between_two_requests(api: WebApi) -> None:
    api.put(many(0, 5))
    api.hurdle = once(1, Said(429, {}, {"Retry-After": "7"}))
    slept: list[float] = []
    client = Client(Asking("s", allow_private=["127.0.0.1"], pause_s=3.0), slept.append)
    client.ask(api.url("desk"))
    client.ask(api.url("desk"))
    client.close()
    # Nobody slept in truth: the second request still waits for its turn after the third.
    assert slept[0] == pytest.approx(7.0, abs=0.5)
    assert all(seconds > 2.5 for seconds in slept[1:])
    assert len(slept) == 2


def test_what_asks_for_an_hour_ends_the_run(api: WebApi) -> None:
    api.hurdle = lambda asked, n: Said(503, {}, {"Retry-After": "3600"})
    with pytest.raises(SourceUnavailable, match="asks to wait 3,600 s"):
        Reader(api, CURSOR).read()


@pytest.mark.parametrize("target", ["http://[", "http://a:99999/x", "http://a:b/"])
def test_an_invalid_url_from_the_api_is_a_clear_error(api: WebApi, target: str) -> None:
    api.hurdle = lambda asked, n: Said(302, {}, {"Location": target})
    with pytest.raises(ConfigurationError, match="invalid URL"):
        Reader(api, {"url": "plain"}).read()
    api.hurdle = lambda asked, n: Said(200, {"data": rows, "next": target})
    rows = [{"id": 1, "text": "a", "time": NOON}]
    about = {"url": "chain", "records": "data", "pagination": "next", "next": "next"}
    with pytest.raises(ConfigurationError, match=r"invalid URL|at another site"):
        Reader(api, about).read()


def test_a_page_that_names_itself_as_the_next_has_an_end(api: WebApi) -> None:
    same = {"tickets": [{"id": 1, "text": "a", "time": NOON}], "meta": {"after_cursor": "x"}}
    api.hurdle = lambda asked, n: Said(200, same)
    with pytest.raises(SourceUnavailable, match="names itself as the next page"):
        Reader(api, CURSOR).read()


def test_what_did_not_change_is_not_sent_again(api: WebApi) -> None:
    api.put(many(0, 5))

    def hurdle(asked: Asked, n: int) -> Said:
        if asked.headers.get("if-none-match") == '"v1"':
            return Said(304)
        return Said(200, api.rows, {"ETag": '"v1"'})

    api.hurdle = hurdle
    reader = Reader(api, {"url": "plain"})
    assert reader.read() == 5
    before = dict(reader.positions)
    assert reader.read() == 0
    assert (reader.positions, reader.pages) == (before, [])


OAUTH = {"type": "oauth2", "client_id": "us", "client_secret": "hunter2"}


def test_a_token_is_kept_and_renewed_when_it_ends(api: WebApi) -> None:
    api.put(many(0, 35))
    issued: list[str] = []

    def hurdle(asked: Asked, n: int) -> Said | None:
        if asked.path == "/token":
            assert (
                asked.headers["authorization"]
                == "Basic " + base64.b64encode(b"us:hunter2").decode()
            )
            assert asked.body == b"grant_type=client_credentials&scope=read"
            issued.append(f"t{len(issued)}")
            return Said(200, {"access_token": issued[-1], "expires_in": 3600})
        if n == 4:
            issued.append("withdrawn")
        return None if asked.headers.get("authorization") == f"Bearer {issued[-1]}" else Said(401)

    api.hurdle = hurdle
    auth = OAUTH | {"token_url": api.url("token"), "scope": "read"}
    reader = Reader(api, CURSOR, auth=auth)
    assert reader.read() == 35
    assert [asked.path for asked in api.asked].count("/token") == 2
    again = Reader(api, CURSOR, auth=auth)
    again.read()
    assert [asked.path for asked in api.asked].count("/token") == 2, "it is kept"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "bearer", "token": "hunter2"}, "authorization", "Bearer hunter2"),
        ({"type": "basic", "user": "us", "password": "hunter2"}, "authorization",
         "Basic " + base64.b64encode(b"us:hunter2").decode()),
        ({"type": "header", "name": "X-Api-Key", "value": "hunter2"}, "x-api-key", "hunter2"),
    ],
)  # fmt: skip
def test_it_says_who_it_is_and_tells_nobody_else(
    api: WebApi, auth: dict[str, str], header: str, value: str
) -> None:
    api.put(many(0, 25))
    reader = Reader(api, LINKS, auth=auth)
    reader.read()
    assert {asked.headers[header] for asked in api.asked} == {value}
    assert api.asked[0].headers["user-agent"].startswith("sentiment-worker/")
    assert "hunter2" not in json.dumps(reader.positions)
    assert "hunter2" not in repr(reader.config)
    api.hurdle = lambda asked, n: Said(403, {"you sent": value})
    with pytest.raises(ConfigurationError) as refused:
        Reader(api, LINKS, auth=auth).read()
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"


def test_a_redirect_takes_no_credentials_elsewhere_and_leads_nowhere_inside(api: WebApi) -> None:
    with WebApi() as other:
        other.put(many(0, 3))
        api.hurdle = lambda asked, n: Said(302, {}, {"Location": other.url("plain")})
        auth = {"type": "bearer", "token": "hunter2"}
        assert Reader(api, {"url": "plain"}, auth=auth).read() == 3
        assert "authorization" in api.asked[0].headers
        assert "authorization" not in other.asked[0].headers
    api.hurdle = lambda asked, n: Said(
        302, {}, {"Location": "http://169.254.169.254/latest/meta-data"}
    )
    with pytest.raises(ConfigurationError, match=r"leads to 169\.254\.169\.254, an address"):
        Reader(api, {"url": "plain"}).read()
    api.hurdle = lambda asked, n: Said(302, {}, {"Location": "file:///etc/passwd"})
    with pytest.raises(ConfigurationError, match="not http or https"):
        Reader(api, {"url": "plain"}).read()
    api.hurdle = lambda asked, n: Said(302, {}, {"Location": api.url("plain")})
    with pytest.raises(ConfigurationError, match="redirects more than"):
        Reader(api, {"url": "plain"}).read()


def test_a_next_page_at_another_site_is_refused(api: WebApi) -> None:
    body = {
        "data": [{"id": 1, "text": "a", "time": NOON}],
        "next": "https://elsewhere.example/page2",
    }
    api.hurdle = lambda asked, n: Said(200, body)
    about = {"url": "chain", "records": "data", "pagination": "next", "next": "next"}
    with pytest.raises(ConfigurationError, match="next page at another site"):
        Reader(api, about).read()


def test_a_next_page_with_a_key_in_it_is_not_kept(api: WebApi) -> None:
    api.put(many(0, 25))

    def hurdle(asked: Asked, n: int) -> Said:
        following = f"/chain?key=hunter2&n={n}" if n < 4 else None
        return Said(200, {"data": [{"id": n, "text": "a", "time": NOON}], "next": following})

    api.hurdle = hurdle
    about = {"url": "chain", "records": "data", "pagination": "next", "next": "next"}
    reader = Reader(api, about, auth={"type": "bearer", "token": "hunter2"})
    for page in HttpSource(reader.config).pages({}):
        assert "hunter2" not in json.dumps(page.position)


def test_fields_are_found_wherever_they_are(api: WebApi) -> None:
    body = {"result": {"items": [{
        "uid": "a/1", "title": "Late again", "content": {"body": "Two hours."},
        "by": {"name": "ana"}, "at": "2026-03-01T10:00:00Z", "lang": "en",
        "product": {"name": "lamp"}, "stars": 2,
    }]}}  # fmt: skip
    api.hurdle = lambda asked, n: Said(200, body)
    reader = Reader(
        api, {"url": "x", "records": "result.items"}, id="uid", text="[title, content.body]",
        time="at", author="by.name", language="lang",
        tags={"product": "product.name", "stars": "stars"},
    )  # fmt: skip
    reader.read()
    (record,) = reader.pages[0].records
    assert (record.external_id, record.text) == ("a/1", "Late again\n\nTwo hours.")
    assert (record.author, record.language) == ("ana", "en")
    assert record.tags == {"product": "lamp", "stars": "2"}


def test_where_the_records_are_is_asked_for_with_what_there_is(api: WebApi) -> None:
    api.put(many(0, 3))
    with pytest.raises(ConfigurationError, match="no list of records at 'items'") as refused:
        Reader(api, CURSOR, records="items").read()
    assert "tickets, meta" in refused.value.hint


def test_an_answer_that_is_no_json_is_a_bad_hour(api: WebApi) -> None:
    api.hurdle = lambda asked, n: Said(200, b"<html>maintenance", {"Content-Type": "text/html"})
    with pytest.raises(SourceUnavailable, match="answered with text/html instead of JSON"):
        Reader(api, CURSOR).read()


def test_a_body_is_sent_and_its_cursor_moves(api: WebApi) -> None:
    api.put(many(0, 25))

    def hurdle(asked: Asked, n: int) -> Said:
        told = json.loads(asked.body)
        start = told["page"] * 10
        assert (asked.headers["content-type"], told["query"]) == ("application/json", "reviews")
        return Said(200, {"hits": api.rows[start : start + 10]})

    api.hurdle = hurdle
    about = {"url": "search", "records": "hits", "pagination": "page", "first": 0}
    reader = Reader(api, about, method="POST", body={"query": "reviews", "page": 0})
    assert reader.read() == 25


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"records": "a[["}, "is no JMESPath"),
        ({"pagination": "cursor"}, "needs next"),
        ({"since": "from", "time": None}, "since needs time"),
        ({"body": {"a": 1}}, 'method = "POST"'),
        ({"url": "ftp://example.org"}, "must begin with https://"),
        ({"auth": {"type": "beerer", "token": "hunter2"}}, "bearer"),
        ({"timeout": "0s"}, "timeout must be 1s or more"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(wrong: dict[str, Any], why: str) -> None:
    told = {"name": "s", "url": "https://api.example.org/x", "time": "time"} | wrong
    with pytest.raises(ValueError, match=why):
        HttpSourceConfig.model_validate(told)


@pytest.mark.parametrize("about", [NUMBERED, OFFSET], ids=["page", "offset"])
def test_a_parameter_that_the_api_does_not_know_is_loud(api: WebApi, about: dict[str, Any]) -> None:
    """The same page would come for ever."""
    api.put(many(0, 60))
    with pytest.raises(ConfigurationError, match="is the first one again") as refused:
        Reader(api, about, param="typo").read()
    assert "'typo'" in str(refused.value)


def test_an_api_that_repeats_its_last_page_has_an_end(api: WebApi) -> None:
    api.put(many(0, 25))

    def hurdle(asked: Asked, n: int) -> Said:
        number = min(3, int(asked.query.get("page", 1)))
        return Said(200, {"reviews": api.rows[(number - 1) * 10 : number * 10]})

    api.hurdle = hurdle
    reader = Reader(api, NUMBERED)
    reader.read()
    assert len(reader.texts) == 25
    assert len(api.asked) == 4


def test_pages_of_one_record_by_offset(api: WebApi) -> None:
    api.page_size = 1
    api.put(many(0, 7))
    reader = Reader(api, OFFSET)
    reader.read()
    assert len(reader.texts) == 7


def test_a_page_that_the_api_refuses_is_no_reason_to_begin_again(api: WebApi) -> None:
    api.put(many(0, 60))
    api.hurdle = lambda asked, n: Said(422, {"error": "too deep"}) if n >= 3 else None
    with pytest.raises(ConfigurationError, match="HTTP 422"):
        Reader(api, CURSOR).read()
    assert len(api.asked) == 3


def test_a_query_in_the_url_is_sent_with_every_page(api: WebApi) -> None:
    api.put(many(0, 25))
    reader = Reader(api, NUMBERED | {"url": "site?account=5&tag=a%20b"})
    reader.read()
    assert len(reader.texts) == 25
    assert {(a.query["account"], a.query["tag"]) for a in api.asked} == {("5", "a b")}


def test_a_record_of_the_future_hides_none_that_comes_before(api: WebApi) -> None:
    api.put(many(0, 20))
    api.rows.append({"id": 999, "text": "late", "time": "2999-01-01T00:00:00+00:00"})
    reader = Reader(api, CURSOR, since="since")
    reader.read()
    api.put(many(0, 30))
    reader.read()
    assert {str(n) for n in range(30)} <= reader.texts.keys()


@pytest.mark.parametrize(("field", "path"), [("text", "txet"), ("time", "tmie")])
def test_a_path_that_finds_nothing_is_loud(api: WebApi, field: str, path: str) -> None:
    api.put(many(0, 5))
    with pytest.raises(ConfigurationError, match=f"anything at {field} = '{path}'") as refused:
        Reader(api, CURSOR, **{field: path}).read()
    assert "id, text, time" in refused.value.hint


def test_a_secret_in_a_link_is_found_however_it_is_written(api: WebApi) -> None:
    following = "/chain?key=a%2Bb%2Fc%3D%3D"
    rows = [{"id": 1, "text": "a", "time": "2026-03-01T00:00:00Z"}]
    api.hurdle = lambda asked, n: Said(200, {"data": rows, "next": following if n < 3 else None})
    about = {"url": "chain?n=1", "records": "data", "pagination": "next", "next": "next"}
    reader = Reader(api, about, auth={"type": "bearer", "token": "a+b/c=="})
    for page in HttpSource(reader.config).pages({}):
        assert "a%2Bb" not in json.dumps(page.position)
        break


def test_a_header_that_http_does_not_take_is_told_without_its_value(api: WebApi) -> None:
    for value in ("hunter2\n", "h\u00fcnter2"):
        with pytest.raises(ConfigurationError, match="does not take") as refused:
            Reader(api, CURSOR, headers={"X-Key": value}).read()
        assert "nter2" not in str(refused.value)
        assert "nter2" not in repr(refused.value.__context__)


def test_a_403_that_says_when_to_come_back_is_waited_for(api: WebApi) -> None:
    api.put(many(0, 5))
    api.hurdle = once(1, Said(403, {}, {"Retry-After": "0"}))
    assert Reader(api, CURSOR).read() == 5
