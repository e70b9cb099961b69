"""A database with three weeks of reviews, some of them hostile, some provisional."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from tests.acceptance.command import Shell
from tests.conftest import DATA
from tests.scripted_lambda import ScriptedLambda, function_error, scored
from worker.store import database

HOSTILE = (
    '<script>alert(1)</script> "bad" & <img src=x onerror=alert(2)> #set page(fill: red) {{ 7*7 }}'
)
"""A text that page, report and terminal must show as it is."""

CURSED = "a bad text that the function cannot take"
DAYS, A_DAY = 21, 12


def stored(folder: Path, database_url: str, server: ScriptedLambda) -> Shell:
    """Reviews of two products, 12 a day from 1 to 21 March 2026: half of them good at first, a
    quarter in the last week, when product b turns bad."""
    with open(folder / "reviews.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text", "time", "product"))
        writer.writerows(_row(n) for n in range(DAYS * A_DAY))
        writer.writerow(("hostile", HOSTILE, "2026-03-21T13:00:00Z", '"><i>'))
        writer.writerow(("cursed", CURSED, "2026-03-21T14:00:00Z", "<b>"))
    (folder / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "reviews"\nkind = "file"\npath = "reviews.csv"\ntags = ["product"]\n'
    )
    server.script = lambda request, n: (
        function_error() if CURSED in request["texts"] else scored(request)
    )
    shell = Shell(
        folder,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=server.url,
        AWS_REGION="local",
        SENTIMENT_CHUNK_TEXTS="20",
    )
    done = shell("once")
    assert done.code in (0, 5), done.err
    return shell


def _row(n: int) -> tuple[str, str, str, str]:
    day, product = n // A_DAY, "ab"[n % 2]
    bad = n % 4 < 2 if day < DAYS - 7 else product == "b" or n % 4 == 0
    said = f"a {'bad' if bad else 'good'} day {n}"
    return str(n), said, f"2026-03-{1 + day:02}T{n % A_DAY:02}:00:00Z", product


TWEETS = DATA / "ingest" / "airline_tweets.csv"


def tweets(folder: Path, database_url: str, endpoint: str) -> tuple[Shell, dict[str, Any]]:
    """The airline tweets, scored by the model behind `endpoint`, and what that run reported;
    `needs_data`."""
    (folder / "sentiment-worker.toml").write_text(
        f'[[source]]\nname = "tweets"\nkind = "file"\npath = "{TWEETS}"\nid = "tweet_id"\n'
        'text = "text"\ntime = "created_at"\nauthor = "author"\ntags = ["airline"]\n'
    )
    shell = Shell(
        folder,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=endpoint,
        AWS_REGION="local",
        SENTIMENT_MAX_CONCURRENCY="2",
    )
    done = shell("once", "-o", "json", timeout=300)
    assert done.code in (0, 5), done.err
    (report,) = done.data
    return shell, report


def as_analyst(shell: Shell) -> Shell:
    """The same folder and database, with the login of one who may only ask."""
    made = shell("db", "roles", "--analyst", "asking")
    assert made.code == 0, made.err
    url = database.normalise_url(shell.variables["DATABASE_URL"]).set(username="asking")
    return Shell(shell.folder, DATABASE_URL=url.render_as_string(hide_password=False))
