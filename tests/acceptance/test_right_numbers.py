"""No filter is dropped in silence, no typo is an empty answer, no part is shown as the whole: by
the page, the API, the terminal and assistants alike."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.acceptance.command import Shell
from tests.acceptance.site import Site, served
from tests.acceptance.stored import as_analyst
from tests.conftest import cloned
from tests.scripted_lambda import ScriptedLambda, scored
from worker import analysis
from worker.errors import ConfigurationError

WEEK = {"since": "2026-03-01", "until": "2026-03-07"}


@pytest.fixture(scope="module")
def shell(
    tmp_path_factory: pytest.TempPathFactory, server_url: str, template: str
) -> Iterator[Shell]:
    """A week of two airlines with two reasons, one of which has three records; and a file whose
    newest record is eleven years older."""
    folder = tmp_path_factory.mktemp("numbers")
    with open(folder / "flights.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text", "time", "airline", "negative_reason"))
        for n in range(300):
            bad = n % 3 == 0
            row = (
                n,
                f"{'bad' if bad else 'good'} &amp; day {n}",
                f"2026-03-0{1 + n % 7}T08:00:00Z",
            )
            writer.writerow(
                (*row, ("United", "Delta")[n % 2], "late" if n > 8 or not bad else "lost")
            )
    (folder / "old.csv").write_text("id,text,time\n1,bad,2015-02-24T00:00:00Z\n")
    (folder / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "flights"\nkind = "file"\npath = "flights.csv"\n'
        'tags = ["airline", "negative_reason"]\n'
        '[[source]]\nname = "old"\nkind = "file"\npath = "old.csv"\n'
    )
    with cloned(server_url, template) as url, ScriptedLambda() as server:
        server.script = lambda request, n: scored(request)
        shell = Shell(
            folder, DATABASE_URL=url, AWS_ENDPOINT_URL_LAMBDA=server.url, AWS_REGION="local"
        )
        done = shell("once")
        assert done.code == 0, done.err
        yield shell


@pytest.fixture(scope="module")
def site(shell: Shell) -> Iterator[Site]:
    with served(shell) as site:
        yield site


UNITED = {"tag": "airline", "value": "United"}


@pytest.mark.parametrize(
    ("path", "wanted", "status", "said"),
    [
        ("/api/v1/compare", {"by": "negative_reason", **UNITED}, 400, "airline = United cannot be"),
        ("/api/v1/tags", UNITED, 400, "airline = United cannot be split"),
        ("/api/v1/compare", {"by": "bogus"}, 404, "'bogus' is not a tag"),
        ("/api/v1/compare", {"by": "airlines"}, 404, "Did you mean 'airline'?"),
        ("/api/v1/trend", {"tag": "airline", "value": "Untied"}, 404, "Did you mean 'United'?"),
        ("/api/v1/records", {"label": "negativ"}, 404, "Did you mean 'negative'?"),
        ("/api/v1/records", {"min_polarity": 0.5, "max_polarity": -1}, 400, "is above the maximum"),
        ("/api/v1/trend", {"source": "flihgts"}, 404, "Did you mean 'flights'?"),
        ("/", {"tag": "airline", "value": "Untied"}, 404, "Did you mean 'United'?"),
        ("/search", {"label": "negativ"}, 404, "Did you mean 'negative'?"),
        ("/search", {"words": "the"}, 400, "No word of 'the' can be searched for"),
        ("/api/v1/trend?source=flights", {"source": "old"}, 400, "there more than once"),
        ("/sources/flights", {"source": "old"}, 400, "cannot show 'old'"),
        ("/days/2026-03-01", {"tag": "airlnie", "value": "United"}, 404, "not a tag of any record"),
        ("/days/2026-03-01", {"since": "2026-02-01"}, 400, "This page is of 2026-03-01 alone"),
        (
            "/charts/compared.svg",
            {"tag": "airline", "value": "Untied"},
            404,
            "has airline = 'Untied'",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(
    site: Site, path: str, wanted: dict[str, str], status: int, said: str
) -> None:
    query = urlencode(wanted | (WEEK if "days" not in path else {}))
    answer = site(f"{path}{'&' if '?' in path else '?'}{query}")
    assert answer.status == status, answer.text
    assert said in unescape(answer.text)


def test_an_answer_says_its_period(site: Site) -> None:
    """Without dates it is the newest week, which a tag may have no record of."""
    for path in ("compare", "tags", "trend", "distribution", "summary"):
        assert site(f"/api/v1/{path}").headers["sentiment-period"] == "2026-03-01/2026-03-07"


def test_the_terminal_refuses_the_same(shell: Shell) -> None:
    done = shell("report", "--tag", "airline=Untied")
    assert done.code == 2
    assert "Did you mean 'United'?" in done.err
    assert "Did you mean 'airline'?" in shell("report", "--tag", "airlin=United").err
    assert "Did you mean 'negative'?" in shell("scores", "--label", "negativ").err
    assert "Did you mean 'flights'?" in shell("report", "--source", "flight").err
    assert "Did you mean 'most-negative'?" in shell("scores", "--order", "most-negativ").err
    for arguments, said in (
        (("scores", "--label", ""), "No score has the label ''"),
        (("scores", "--matches", " "), "can be searched for"),
        (("scores", "--for-spreadsheet"), "name it with --export"),
        (("report", "--since", "2026-03-01", "--days", "3"), "two answers to one question"),
    ):
        done = shell(*arguments)
        assert done.code == 2, arguments
        assert said in " ".join(done.err.split()), done.err


def test_python_refuses_the_same(shell: Shell) -> None:
    with analysis.connect(shell.variables["DATABASE_URL"]) as sentiment:
        refused: list[dict[str, Any]] = [
            {"scorer": "lamda"},
            {"tag": ("bogus", "x")},
            {"since": "2026-12-01", "until": "2026-01-01"},
            {"min_polarity": math.nan},
            {"min_polarity": 5},
            {"limit": 0},
            {"provisional": "yes"},
            {"words": "the"},
            {"source": "flihgts"},
        ]
        for wanted in refused:
            with pytest.raises(ConfigurationError):
                sentiment.scores(**wanted)
        with pytest.raises(ConfigurationError):
            sentiment.daily(since="2026-12-01", until="2026-01-01")
        with pytest.raises(ConfigurationError):
            sentiment.runs(limit=0)
        assert len(sentiment.scores(label="Negative")) == len(sentiment.scores(label="negative"))


def test_a_tags_value_keeps_its_filter(site: Site) -> None:
    whole = site.json("/compare", by="airline", **WEEK)
    (united,) = site.json("/compare", by="airline", **UNITED, **WEEK)
    assert united == next(group for group in whole if group["name"] == "United")
    page = unescape(site(f"/?{urlencode(UNITED | WEEK)}").text)
    assert "records with airline = United cannot be split by another tag yet" in page
    assert "What was negative, by" not in page


def test_every_ranking_says_its_order_and_marks_the_few(shell: Shell, site: Site) -> None:
    for by in ("airline", "negative_reason"):
        negative = [group["negative"] for group in site.json("/compare", by=by, **WEEK)]
        assert negative == sorted(negative, reverse=True)
    said = shell("report", "--source", "flights", "--since", "2026-03-01", "--until", "2026-03-08")
    page = unescape(site(f"/sources/flights?{urlencode(WEEK)}").text)
    for shown in (said.out, page):
        assert "most negative records first" in shown
        assert "What was negative, by negative_reason" in shown
        assert "3 (few)" in shown
        assert "fewer than 30 scored records" in shown
        assert "share of its own" in shown


def test_without_a_source_every_source_is_there(shell: Shell, site: Site) -> None:
    done = shell("report")
    assert "Sentiment of 1 of 2 sources (flights)" in done.out
    page = unescape(site("/").text)
    for shown in (" ".join(done.out.split()), page):
        assert "Every source, with its own newest week" in shown
        assert "18 February 2015 to 24 February 2015" in shown
    found = {each["source"]: each for each in shell("report", "-o", "json").data["standings"]}
    assert found["old"]["since"] == "2015-02-18"
    assert found["old"]["now"]["records"] == 1


def test_how_far_to_trust_it_says_what_the_interval_leaves_out(shell: Shell, site: Site) -> None:
    for shown in (shell("report").out, unescape(site("/").text)):
        assert "chance in sampling alone, not the model's mistakes" in " ".join(shown.split())
        assert "How often scripted 1 is right was not measured" in " ".join(shown.split())
    shell("override", "set", "flights", "0", "negative", "--why", "read it")
    shell("override", "set", "flights", "1", "negative", "--why", "read it")
    said = " ".join(shell("report", "--source", "flights").out.split())
    assert "2 records of any day and tag that people judged, 50% have the label" in said


def test_a_records_tag_leads_to_the_days_that_have_it(shell: Shell, site: Site) -> None:
    (found,) = shell(
        "scores", "--source", "flights", "--contains", "day 7", "-n", "1", "-o", "json"
    ).data
    page = unescape(site(f"/records/{found['record_id']}").text)
    address = f"/sources/flights?{urlencode({'tag': 'airline', 'value': found['tags']['airline']})}"
    assert address in page
    assert "No record of this time" not in site(address).text


def test_a_text_is_shown_as_it_was_meant(shell: Shell, site: Site) -> None:
    said = shell("report", "--source", "flights").out
    assert "bad & day" in said
    assert "&amp;" not in said
    assert "bad &amp;amp;" not in site("/search").text


def test_columns_keep_their_names(shell: Shell) -> None:
    done = as_analyst(shell)("sql", "SELECT 1 AS negative_reason, 'x' AS a_b")
    assert done.out.split()[:2] == ["negative_reason", "a_b"]


def test_a_bar_without_colours_tells_labels_apart(shell: Shell) -> None:
    done = shell("report", "--source", "flights", NO_COLOR="1")
    line = next(line for line in done.out.splitlines() if line.startswith("flights"))
    assert {"█", "▒"} <= set(line)
    assert "negative █" in done.out


def test_a_chart_has_a_narrow_shape_for_phones(site: Site) -> None:
    wide = site(f"/charts/trend.svg?{urlencode(WEEK)}")
    narrow = site(f"/charts/trend.svg?{urlencode(WEEK | {'narrow': 'true'})}")
    widths = [float(svg.text.split('width="')[1].split('"')[0]) for svg in (narrow, wide)]
    assert widths[0] <= 360 < widths[1]
    assert "provisional" not in wide.text, "there is none"
    page = site("/").text
    assert "narrow=true" in page


def test_json_says_among_how_many_it_looked(site: Site) -> None:
    outermost = site("/api/v1/records?order=most-negative")
    assert outermost.headers["sentiment-at-most"] == "20"
    assert len(json.loads(outermost.text)) == 20
    answer = site("/api/v1/records?max_polarity=0&order=most-negative")
    assert answer.headers["sentiment-among"] == "5000"
    assert json.loads(answer.text)
    assert "sentiment-among" not in site("/api/v1/records").headers
