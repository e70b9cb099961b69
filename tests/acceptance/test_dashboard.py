"""The page and the API as the installed command serves them."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from html.parser import HTMLParser
from typing import Any, cast
from urllib.parse import quote, urlencode

import psutil
import psycopg
import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from schemathesis.config import (
    GenerationConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from tests.acceptance.command import Shell
from tests.acceptance.site import Site, served
from tests.acceptance.stored import HOSTILE, stored
from tests.conftest import cloned
from tests.scripted_lambda import ScriptedLambda
from worker import bootstrap
from worker.dashboard.app import application
from worker.loading import load
from worker.store import database, roles
from worker.web.guard import AccessRules

PAGES = ("/", "/sources/reviews", "/days/2026-03-20", "/search", "/terms", "/work", "/quarantine")


def _tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    found: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Tags().feed(page)
    return found


@pytest.fixture(scope="module")
def shell(
    tmp_path_factory: pytest.TempPathFactory, server_url: str, template: str
) -> Iterator[Shell]:
    with cloned(server_url, template) as url, ScriptedLambda() as server:
        yield stored(tmp_path_factory.mktemp("dashboard"), url, server)


@pytest.fixture(scope="module")
def site(shell: Shell) -> Iterator[Site]:
    with served(shell) as site:
        yield site


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_dressed_for_a_hostile_web(site: Site, path: str) -> None:
    answer = site(path)
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    for tag, attributes in _tags(answer.text):
        assert tag != "style"
        assert tag != "script" or attributes["src"] == "/static/htmx.js"
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not [v for v in attributes.values() if v and "//" in v], "asks nobody else"


def test_text_of_records_is_text(site: Site) -> None:
    for path in (
        "/?since=2026-03-15&until=2026-03-21",
        "/days/2026-03-21",
        "/search?words=alert",
        "/search?order=newest",
    ):
        answer = site(path)
        assert HOSTILE in unescape(answer.text), path
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
    (found,) = site.json("/records", words="alert")
    assert found["text"] == HOSTILE
    whole = site(f"/records/{found['record_id']}")
    assert HOSTILE in unescape(whole.text)
    assert "<i>" not in whole.text


def test_a_week_that_got_worse_in_page_and_api(site: Site) -> None:
    week = {"since": "2026-03-15", "until": "2026-03-21"}
    page = unescape(site(f"/?{urlencode(week)}").text)
    assert "clearly worse" in page
    summary = site.json("/summary", **week)
    assert summary["verdict"] in page
    assert (summary["movers"][0]["tag"], summary["movers"][0]["name"]) == ("product", "b")
    trend = site.json("/trend", **week)
    assert len(trend["days"]) == 7
    assert trend["total"]["records"] == sum(day["records"] for day in trend["days"]) == 86
    assert trend["before"]["net"] == 0
    groups = {g["name"]: g for g in site.json("/compare", by="product", **week)}
    assert groups["b"]["net"] == -1
    only = site.json("/trend", tag="product", value="b", **week)
    assert only["total"]["records"] == groups["b"]["records"] == 42
    assert "tag=product&value=b" in page
    assert site.json("/tags", **week) == ["product"]
    bins = site.json("/distribution", **week)
    assert bins["count"] == sum(b["final"] + b["provisional"] for b in bins["bins"])


def test_records_by_filter_and_one_whole(site: Site, shell: Shell) -> None:
    found = site.json("/records", label="negative", order="oldest", limit=1000)
    told = shell("scores", "--label", "negative", "--order", "oldest", "-n", 1000, "-o", "json")
    assert [row["record_id"] for row in found] == [row["record_id"] for row in told.data]
    (provisional,) = site.json("/records", provisional="true")
    assert provisional["fallback_reason"]
    whole = site.json(f"/records/{provisional['record_id']}")
    assert [score["provisional"] for score in whole["scores"]] == [True]
    page = site(f"/records/{provisional['record_id']}").text
    assert "provisional" in page
    chosen = shell("override", "set", "reviews", "0", "positive", "--why", "irony")
    assert chosen.code == 0, chosen.err
    (row,) = site.json("/records", scorer="person")
    assert "irony" in site(f"/records/{row['record_id']}").text


def test_what_makes_no_sense_is_said(site: Site) -> None:
    for path, status in (
        ("/?source=nobody", 404), ("/sources/nobody", 404), ("/records/999999", 404),
        ("/api/v1/trend?source=nobody", 404), ("/quarantine?source=nobody", 404),
        ("/?since=2026-03-02&until=2026-03-01", 400), ("/charts/nothing.svg", 404),
        ("/?tag=product", 400), ("/search?q=refund", 400),
        ("/api/v1/summary?days=7", 400), ("/api/v1/trend?tag=product", 400),
        ("/api/v1/trend?since=yesterday", 422), ("/api/v1/trend?since=0", 422),
        ("/api/v1/records?words=%00", 422), ("/sources/%00", 404), ("/days/0", 422),
        ("/records/0", 422), ("/nowhere", 404),
    ):  # fmt: skip
        answer = site(path)
        assert answer.status == status, path
        assert "Traceback" not in answer.text
        kind = "application/json" if path.startswith("/api/") else "text/html"
        assert answer.headers["content-type"].startswith(kind)
        assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "name", ["trend", "compared", "shares", "distribution", "calendar", "agreement"]
)
def test_charts_are_pictures(site: Site, name: str) -> None:
    light, dark = site(f"/charts/{name}.svg"), site(f"/charts/{name}.svg?dark=true")
    for answer in (light, dark):
        assert answer.status == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.text.startswith("<svg")
    assert light.text != dark.text


def test_names_that_are_not_its_own_are_refused(site: Site) -> None:
    assert site("/", Host="evil.example").status == 421
    assert site("/api/v1/pending", Host="evil.example:8090").status == 421
    assert site("/", Host="localhost").status == 200


def test_open_to_others_only_with_a_key(shell: Shell) -> None:
    refused = shell("dashboard", "--address", "0.0.0.0:8099")
    assert refused.code == 2
    assert "SENTIMENT_DASHBOARD_TOKEN" in refused.err
    assert shell("dashboard", "--address", "8099").code == 2
    assert shell("dashboard", SENTIMENT_DASHBOARD_TOKEN="short").code == 2
    token = "hünter2-"
    basic = base64.b64encode(f"anybody:{token}".encode()).decode()
    with served(shell, SENTIMENT_DASHBOARD_TOKEN=token) as site:
        assert site("/").status == 401
        assert site("/").headers["www-authenticate"].startswith("Basic")
        assert site("/static/style.css").status == 401
        assert site("/", Authorization=f"Basic {basic}").status == 200
        wrong = base64.b64encode(b"anybody:hunter2-").decode()
        assert site("/", Authorization=f"Basic {wrong}").status == 401
        assert site("/", Authorization="Basic !").status == 401
        assert site("/", Authorization="Bearer wrong").status == 401
        bearer = f"Bearer {token}".encode().decode("latin-1")
        assert site("/api/v1/pending", Authorization=bearer).status == 200
        assert token not in (shell.folder / "started.log").read_text()
    with served(shell, "--user-header", "X-User", "--host", "scores.example") as site:
        assert site("/").status == 401
        assert site("/", **{"X-User": "ana", "Host": "scores.example"}).status == 200


def test_it_asks_with_the_analyst_s_rights_alone(shell: Shell) -> None:
    settings = load(environ={"DATABASE_URL": shell.variables["DATABASE_URL"]}).settings
    with bootstrap.open_questions(settings) as asking:  # a superuser asks as less
        with database.transaction(asking) as connection:
            assert connection.scalar(sa.text("SELECT current_user")) == "sentiment_analyst"
            assert connection.scalar(sa.text("SHOW statement_timeout")) == "10s"
            assert connection.scalar(sa.text("SHOW transaction_read_only")) == "on"
        with pytest.raises(Exception, match="permission"), database.transaction(asking) as c:
            c.execute(sa.text("SELECT count(*) FROM sentiment.record"))
    url = database.normalise_url(shell.variables["DATABASE_URL"])
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute("CREATE ROLE busy LOGIN; GRANT sentiment_worker TO busy")
    busy = url.set(username="busy").render_as_string(hide_password=False)
    try:
        refused = shell("dashboard", DATABASE_URL=busy)
        assert refused.code == 2
        assert "may not become sentiment_analyst" in refused.err
    finally:
        with psycopg.connect(plain, autocommit=True) as admin:
            admin.execute("DROP OWNED BY busy; DROP ROLE busy")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:hunter2@127.0.0.1:1/gone",  # nobody listens
        "postgresql://app:hunter2@{host}/no_such_database",
    ],
)
def test_what_a_database_says_of_itself_stays_in_the_log(shell: Shell, url: str) -> None:
    known = database.normalise_url(shell.variables["DATABASE_URL"])
    named = known.set(database="no_such_database").render_as_string(hide_password=False)
    engine = database.make_engine(url if "{" not in url else named, application="tests")
    client = TestClient(application(engine, AccessRules(hosts=("testserver",))))
    for path in ("/work", "/api/v1/pending"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "content-security-policy" in answer.headers
        assert "hunter2" not in answer.text
        assert "127.0.0.1" not in answer.text
        assert "no_such_database" not in answer.text
    engine.dispose()


class _Broken:
    """An engine that fails as no database does."""

    def connect(self) -> None:
        raise RuntimeError("hunter2")


def test_what_breaks_is_dressed_too() -> None:
    rules = AccessRules(hosts=("testserver",))
    app = application(cast("sa.Engine", _Broken()), rules)
    client = TestClient(app, raise_server_exceptions=False)
    answer = client.get("/api/v1/pending")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "content-security-policy" in answer.headers


def test_a_source_of_any_name_has_a_page(shell: Shell, site: Site) -> None:
    name = "odd/näme <b>?&"
    (shell.folder / "odd.csv").write_text("id,text\n1,a good day\n")
    assert shell("once", "odd.csv", "--name", name).code == 0
    found = site(f"/sources/{quote(name, safe='')}")
    assert found.status == 200
    assert name in unescape(found.text)
    assert "<b>" not in found.text


def _renderers() -> dict[int, psutil.Process]:
    """Of this test's own pages: others may run beside it."""
    ours = psutil.Process().children(recursive=True)
    return {
        process.pid: process
        for process in ours
        if "worker.dashboard.chart_process" in " ".join(_command(process))
    }


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def test_charts_are_drawn_again_after_their_process_was_killed(shell: Shell) -> None:
    others = _renderers().keys()
    with served(shell) as site:
        assert site("/charts/trend.svg").status == 200
        (renderer,) = [process for pid, process in _renderers().items() if pid not in others]
        renderer.kill()
        assert site("/charts/trend.svg?dark=true").status == 200
    assert _renderers().keys() <= others, "none outlives the page"


def test_a_head_is_a_get_without_its_body(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.request("HEAD", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()


def test_a_port_that_is_taken_is_said(shell: Shell, site: Site) -> None:
    refused = shell("dashboard", "--address", f"127.0.0.1:{site.port}")
    assert refused.code == 2
    assert "cannot be used" in refused.err
    assert "Open" not in refused.err


def test_names_that_no_picture_can_hold_are_drawn(shell: Shell) -> None:
    (shell.folder / "odd.csv").write_text(
        "id,text,time,tag\n1,a good day,2026-02-01T00:00:00Z,a\x01b\n"
        "2,a bad day,2026-02-02T00:00:00Z,\ufffec\x1b[31m\n3,a day,2026-02-02T00:00:00Z,source\n"
    )
    (shell.folder / "odd.toml").write_text(
        '[[source]]\nname = "odd"\nkind = "file"\npath = "odd.csv"\ntags = ["tag"]\n'
    )
    assert shell("once", "-c", "odd.toml").code == 0
    files = [shell.folder / f"odd.{kind}" for kind in ("html", "pdf", "png")]
    done = shell("report", "-s", "odd", "--html", files[0], "--pdf", files[1], "--png", files[2])
    assert done.code == 0, done.err
    with served(shell) as site:
        for name in ("shares", "compared"):
            assert site(f"/charts/{name}.svg?source=odd").status == 200


def test_slow_questions_do_not_hold_up_the_others(shell: Shell) -> None:
    url = database.normalise_url(shell.variables["DATABASE_URL"])
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with served(shell) as site, psycopg.connect(plain) as locking:
        locking.execute("LOCK TABLE sentiment.record IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(30) as many:
            answers = [many.submit(site, "/search?words=good") for _ in range(30)]
            time.sleep(3)
            assert site("/quarantine").status in (200, 503)
            assert not all(each.done() for each in answers), "it waited for the slow ones"
            assert {each.result().status for each in answers} == {503}


EXAMPLES = 30


@pytest.fixture(scope="module")
def described(shell: Shell) -> Iterator[Any]:
    engine = database.make_engine(shell.variables["DATABASE_URL"], application="tests")
    asking = database.read_only(engine, timeout_s=5, role=roles.ANALYST)
    app = application(asking, AccessRules(hosts=("testserver",)))
    generation = GenerationConfig(max_examples=EXAMPLES, deterministic=True)
    project = ProjectConfig(generation=generation)
    config = SchemathesisConfig(projects=ProjectsConfig(default=project))
    yield schemathesis.openapi.from_asgi("/api/openapi.json", app, config=config)
    engine.dispose()


def test_the_api_keeps_what_its_description_says(described: Any) -> None:
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) == 12
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        def ask(case: Any) -> None:
            # A source that nobody knows, or a period that ends before it begins, is valid to it.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        ask()


def test_terms_over_http_and_in_the_terminal_are_the_same(site: Site, shell: Shell) -> None:
    days = {"since": "2026-03-01", "until": "2026-03-21"}
    answer = json.loads(site(f"/api/v1/terms?{urlencode(days)}").text)
    told = shell("terms", "--since", "2026-03-01", "--until", "2026-03-22", "-o", "json").data
    assert answer["terms"] == told["terms"]
    assert (answer["group"], answer["comparison"]) == (told["group"], told["comparison"])
    assert answer["group"] > 30
    before = json.loads(site(f"/api/v1/terms?{urlencode(days)}&against=before").text)
    assert before["comparison"] == 0
    assert before["terms"] == []
    page = site(f"/terms?{urlencode(days)}&against=before").text
    assert "are too few to be compared: 30 of each are needed" in page
    assert "No term is said" not in page
    assert site(f"/api/v1/terms?{urlencode(days)}&against=weather").status == 422
    assert site(f"/api/v1/terms?{urlencode(days)}&against=values").status == 400
    assert site(f"/api/v1/terms?{urlencode(days)}&label=angry").status == 404
