"""Ids: shown, kept, and never changed under what is stored; a mistake is undone."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.command import Shell
from tests.conftest import DATA, needs_data
from tests.rollups import WRONG_DAYS
from tests.scripted_lambda import ScriptedLambda, scored
from worker.store import database, reading
from worker.store.ledger import removal


@pytest.fixture
def shell(tmp_path: Path, database_url: str, scripted_lambda: ScriptedLambda) -> Shell:
    scripted_lambda.script = lambda request, n: scored(request)
    return Shell(
        tmp_path,
        DATABASE_URL=database_url,
        AWS_ENDPOINT_URL_LAMBDA=scripted_lambda.url,
        AWS_REGION="local",
    )


def write(shell: Shell, name: str, header: str, *rows: str) -> None:
    (shell.folder / name).write_text("\n".join((header, *rows, "")))


def tweets(shell: Shell) -> None:
    rows = [f"{1000 + n},2026-03-01T00:00:00Z,text {n},u{n % 7}" for n in range(60)]
    write(shell, "tweets.csv", "tweet_id,created_at,text,user_id", *rows)


def count(shell: Shell, source: str) -> int:
    (found,) = [r for r in shell("status", "-o", "json").data if r["source"] == source]
    return int(found["records"])


def test_the_chosen_columns_are_shown_with_what_else_there_is(shell: Shell) -> None:
    tweets(shell)
    done = shell("once", "tweets.csv")
    assert done.code == 0, done.err
    assert "id from 'tweet_id', 60 different values in the 60 different rows looked at" in done.err
    assert "(there is also 'user_id'); text from 'text'; time from 'created_at'" in done.err


def test_the_rule_of_the_ids_is_kept_and_another_one_refused(shell: Shell) -> None:
    tweets(shell)
    assert shell("once", "tweets.csv").code == 0
    with open(shell.folder / "tweets.csv", "a", encoding="utf-8") as file:
        file.write("2000,2026-03-02T00:00:00Z,another,u1\n")
    time.sleep(0.01)
    assert shell("once", "tweets.csv", "--id", "tweet_id").code == 0
    assert count(shell, "tweets") == 61
    for arguments in (("--id", "content"), ("--id", "row"), ("--text", "user_id")):
        refused = shell("once", "tweets.csv", *arguments)
        assert refused.code == 2, refused.err
        assert "was read with ids from 'tweet_id' and the text from 'text'" in refused.err
        assert "sources remove" in refused.err
    assert count(shell, "tweets") == 61
    rewound = shell("state", "rewind", "tweets", "--beginning", "--why", "test")
    assert rewound.code == 0, rewound.err
    assert shell("once", "tweets.csv", "--id", "content").code == 2, "also after a rewind"
    assert shell("once", "tweets.csv").code == 0
    assert count(shell, "tweets") == 61


def test_a_source_keeps_its_kind(shell: Shell) -> None:
    tweets(shell)
    assert shell("once", "tweets.csv").code == 0
    (shell.folder / "sql.toml").write_text(
        '[[source]]\nname = "tweets"\nkind = "sql"\nurl = "sqlite:///x.db"\ntable = "t"\n'
    )
    refused = shell("once", "-c", "sql.toml")
    assert refused.code == 2
    assert "was stored as kind file; its configuration now says sql" in refused.err


def test_each_row_a_record_where_that_is_meant(shell: Shell) -> None:
    write(shell, "stars.csv", "stars,text", "5,great", "5,great", "4,fine")
    merged = shell("once", "stars.csv")
    assert "1 row repeats an id; the last row of each id was kept" in merged.err
    assert "sources remove stars, then once stars.csv --id row" in merged.err
    assert "id from the row (equal rows are one)" in merged.err
    assert count(shell, "stars") == 2
    assert shell("once", "stars.csv", "--name", "rows", "--id", "row").code == 0
    assert count(shell, "rows") == 3
    with open(shell.folder / "stars.csv", "a", encoding="utf-8") as file:
        file.write("1,bad\n")
    again = shell("once", "stars.csv", "--name", "rows", "-o", "json")
    assert again.data[0]["counters"]["new"] == 1
    assert count(shell, "rows") == 4


def test_files_alike_are_read_alike(shell: Shell) -> None:
    """One rule for files of the same columns, whatever each of them alone would suggest."""
    folder = shell.folder / "days"
    folder.mkdir()
    (folder / "1.csv").write_text(
        "review_id,text\n" + "".join(f"r{n},text {n}\n" for n in range(30))
    )
    (folder / "2.csv").write_text("review_id,text\nr1,text 1 edited\nr1,text 1 again\nr99,new\n")
    assert shell("once", folder).code == 0
    assert count(shell, "days") == 31
    (folder / "3.csv").write_text("review_id,text\nr99,x\nr99,y\n")
    assert shell("once", folder).code == 0
    assert count(shell, "days") == 31
    (folder / "few.csv").write_text("customer_id,text\nc1,hello\n")
    done = shell("once", folder, "--name", "days")
    assert done.code == 0, "one row does not tell what its id is, and nobody is asked"


def test_a_column_called_content_is_a_text_and_no_id(shell: Shell) -> None:
    write(shell, "posts.csv", "content,likes", "same,1", "same,2", "other,3")
    assert shell("once", "posts.csv").code == 0
    assert count(shell, "posts") == 3


def test_rows_of_two_files_of_one_name_are_not_merged(shell: Shell) -> None:
    for day in ("a", "b"):
        (shell.folder / day).mkdir()
        (shell.folder / day / "part.csv").write_text("text\nfine\n")
    refused = shell("once", "*/part.csv", "--id", "row", "--name", "parts")
    assert refused.code == 2
    assert "have the same name, and with --id row" in refused.err


def test_what_was_read_before_identities_were_kept_is_not_read_with_another_id(
    shell: Shell, database_url: str
) -> None:
    tweets(shell)
    assert shell("once", "tweets.csv", "--id", "content").code == 0
    with psycopg.connect(_plain(database_url)) as connection:
        connection.execute("UPDATE sentiment.cursor SET identity = NULL")
    for _ in range(2):
        refused = shell("once", "tweets.csv", "--id", "tweet_id")
        assert refused.code == 2, refused.err
        assert shell("state", "rewind", "tweets", "--beginning", "--why", "test").code == 0
    assert shell("once", "tweets.csv").code == 0
    assert count(shell, "tweets") == 60, "ids are derived as before"


def test_derived_ids_do_not_change_with_a_column(shell: Shell) -> None:
    write(shell, "notes.csv", "title,text", *(f"t{n},text {n}" for n in range(30)))
    assert shell("once", "notes.csv").code == 0
    write(shell, "notes.csv", "title,text,stars", *(f"t{n},text {n},5" for n in range(30)))
    refused = shell("once", "notes.csv")
    assert refused.code == 2
    assert "has other columns than when it was read" in refused.err
    assert count(shell, "notes") == 30


def test_a_file_that_was_refused_is_asked_about_again(shell: Shell) -> None:
    (shell.folder / "both").mkdir()
    write(shell, "both/a.csv", "id,text", "a1,good")
    rows = [f"{n},text {n}" for n in range(30)]
    write(shell, "both/b.csv", "customer_id,text", *rows)
    assert shell("once", "both", "--name", "both").code == 5
    assert "'customer_id' may be it" in shell("quarantine", "list", "-o", "json").out
    assert "1 row or file is still in quarantine" in shell("once", "both", "--name", "both").err, (
        "not all is well"
    )
    assert "twice" not in shell("once", "both/b.csv", "--id", "customer_id").err, "it was not read"
    write(shell, "both/b.csv", "customer_id,text", *rows, "30,another")
    assert shell("once", "both", "--name", "both").code == 5
    assert count(shell, "both") == 1
    assert shell("once", "both", "--name", "both", "--id", "customer_id").code != 0, (
        "a.csv has no such column"
    )
    assert count(shell, "both") == 32


def test_a_moved_file_keeps_its_rule(shell: Shell) -> None:
    tweets(shell)
    assert shell("once", "tweets.csv", "--id", "content").code == 0
    (shell.folder / "sub").mkdir()
    (shell.folder / "tweets.csv").rename(shell.folder / "sub" / "tweets.csv")
    assert shell("once", "sub/tweets.csv").code == 0
    assert count(shell, "tweets") == 60


def test_a_file_read_again_from_quarantine_keeps_its_rule(shell: Shell) -> None:
    tweets(shell)
    with open(shell.folder / "tweets.csv", "a", encoding="utf-8") as file:
        file.write("2000,no time,another,u1\n")
    assert shell("once", "tweets.csv", "--id", "content").code == 5
    (shell.folder / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "tweets"\nkind = "file"\npath = "tweets.csv"\n'
    )
    assert shell("quarantine", "redrive", "--all").code == 5
    assert count(shell, "tweets") == 60


def test_the_text_of_json_lines_does_not_move(shell: Shell) -> None:
    first = [json.dumps({"id": n, "body": f"body {n}"}) for n in range(1_500)]
    rest = [json.dumps({"id": n, "body": f"body {n}", "text": "x"}) for n in range(1_500, 1_510)]
    (shell.folder / "lines.jsonl").write_text("\n".join((*first, *rest, "")))
    done = shell("once", "lines.jsonl")
    assert done.code == 0, done.err
    assert shell("scores", "--contains", "x", "-o", "json").data == []
    assert count(shell, "lines") == 1_510


def test_a_removal_that_was_interrupted_is_finished_first(shell: Shell, database_url: str) -> None:
    tweets(shell)
    assert shell("once", "tweets.csv").code == 0

    def end_it(count: int) -> None:
        raise InterruptedError

    engine = database.make_engine(database_url, application="tests")
    with pytest.raises(InterruptedError):
        removal.remove(engine, reading.source_id(engine, "tweets"), end_it)
    engine.dispose()
    refused = shell("once", "tweets.csv")
    assert refused.code == 2
    assert "Finish it first: sentiment-worker sources remove tweets" in refused.err
    assert shell("sources", "remove", "tweets", "--yes").code == 0
    assert shell("once", "tweets.csv").code == 0
    assert count(shell, "tweets") == 60


def test_the_same_file_under_another_source_is_said(shell: Shell) -> None:
    tweets(shell)
    assert "count twice" not in shell("once", "tweets.csv").err
    for place, name in ((".", "files"), ("copy.csv", "copy")):
        if place == "copy.csv":
            (shell.folder / place).write_bytes((shell.folder / "tweets.csv").read_bytes())
        done = shell("once", place, "--id", "tweet_id")
        assert "was read as the source 'tweets' too: 60 of the 60 records" in done.err
        assert f"sources remove {name}" in done.err


def test_a_file_that_now_says_something_else_is_not_called_stored_twice(shell: Shell) -> None:
    tweets(shell)
    shell("once", "tweets.csv")
    rows = (f"{n},other {n}" for n in range(60))
    write(shell, "tweets.csv", "tweet_id,text", *rows)
    done = shell("once", "tweets.csv", "--name", "second", "--id", "tweet_id")
    assert done.code == 0, done.err
    assert count(shell, "second") == 60
    assert "count twice" not in done.err


def test_a_folder_of_files_of_other_columns_is_no_source_by_itself(shell: Shell) -> None:
    """Equal ids in them would be one record: a name says that they are one source."""
    folder = shell.folder / "mixed"
    folder.mkdir()
    write(shell, "mixed/reviews.csv", "id,text", "1,a fine thing", "2,never again")
    write(shell, "mixed/tickets.csv", "id,text,agent", "1,my bag is lost,x", "2,no refund,y")
    refused = shell("once", "mixed")
    assert refused.code == 2
    assert "tickets.csv have different columns" in refused.err
    assert shell("status", "-o", "json").data == []
    apart = shell("once", "mixed/reviews.csv", "mixed/tickets.csv")
    assert apart.code == 0, apart.err
    assert (count(shell, "reviews"), count(shell, "tickets")) == (2, 2)
    assert shell("once", "mixed", "--name", "all").code == 0
    # A file of other columns that comes later is refused before a row of it is read.
    assert shell("once", "mixed/reviews.csv", "--name", "mixed").code == 0
    assert shell("once", "mixed").code == 2
    assert count(shell, "mixed") == 2


def test_two_files_of_one_name_and_other_columns_are_two_sources(shell: Shell) -> None:
    for folder in ("x", "y"):
        (shell.folder / folder).mkdir()
    write(shell, "x/day.csv", "id,text", "1,a fine thing")
    write(shell, "y/day.csv", "id,text,agent", "1,never again,a")
    assert shell("once", "x/day.csv").code == 0
    refused = shell("once", "y/day.csv")
    assert refused.code == 2
    assert "have different columns" in refused.err
    assert count(shell, "day") == 1
    assert shell("once", "y/day.csv", "--name", "other").code == 0


def test_a_delimiter_and_an_encoding_are_named(shell: Shell) -> None:
    write(shell, "semicolons.csv", "id;text;time", "1;good, really;2026-01-01T00:00:00Z")
    refused = shell("once", "semicolons.csv")
    assert refused.code == 2
    assert "Say --delimiter ';'" in refused.err
    assert shell("once", "semicolons.csv", "--delimiter", ";").code == 0
    wide = "id,text\n1,schön\n".encode("utf-16")
    (shell.folder / "wide.csv").write_bytes(wide)
    assert "--encoding utf-16" in shell("once", "wide.csv").err
    assert shell("once", "wide.csv", "--encoding", "utf-16").code == 0
    late = b"id,text\n1,fine\n\xff\xfe broken\n"
    (shell.folder / "late.csv").write_bytes(late)
    assert shell("once", "late.csv").code == 5
    (row,) = shell("quarantine", "list", "--source", "late", "-o", "json").data
    assert "utf-16" not in row["reason"], "one broken line says nothing of the file"
    assert "--encoding cp1252" in row["reason"]


def test_the_columns_that_are_not_kept_are_said(shell: Shell) -> None:
    write(shell, "wide.csv", "id,text,agent,stars", "1,good,x,5")
    assert "not kept: 'agent', 'stars'" in shell("once", "wide.csv").err
    assert "not kept: 'stars'" in shell("once", "wide.csv", "--name", "w", "--tag", "agent").err


def test_the_format_of_times_is_of_the_one_that_reads_one_way(shell: Shell) -> None:
    write(shell, "times.csv", "id,date,text", "1,4/8/2016,x", "2,4/30/2016,y", "3,4/9/2016,z")
    refused = shell("once", "times.csv")
    assert refused.code == 2
    assert "--time-format '%m/%d/%Y' --timezone UTC" in refused.err.replace("\n", " ")


def test_tags_are_trimmed(shell: Shell) -> None:
    write(shell, "tags.csv", "id,text,airline", "1,good,United ", "2,bad,United")
    assert shell("once", "tags.csv", "--tag", "airline").code == 0
    found = shell("scores", "--tag", "airline=United", "-o", "json").data
    assert len(found) == 2
    assert shell("scores", "--tag", "airline=Untied").code != 0


def test_what_is_empty_is_said(shell: Shell) -> None:
    write(shell, "header.csv", "id,text")
    (shell.folder / "empty.csv").write_text("")
    assert "has only a header" in shell("once", "header.csv").err
    said = shell("once", "empty.csv")
    assert "empty" in said.err
    tweets(shell)
    shell("once", "tweets.csv")
    assert "Nothing is new since the last run." in shell("once", "tweets.csv").err


def test_hints_fit_what_failed(shell: Shell) -> None:
    write(shell, "zone.csv", "id,date,text", "1,31-Jul-18,fine")
    zone = shell("once", "zone.csv")
    assert "the time '31-Jul-18' has no zone" in zone.err
    assert "--timezone UTC" in zone.err
    assert "--time-format" not in zone.err
    write(shell, "order.csv", "id,date,text", "1,8/4/2016 11:52,fine")
    order = shell("once", "order.csv")
    assert "--time-format '%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M' --timezone UTC" in order.err
    assert (
        shell("once", "order.csv", "--time-format", "%m/%d/%Y %H:%M", "--timezone", "UTC").code == 0
    )
    (shell.folder / "latin.csv").write_bytes("id,text\n1,caf\xe9\n".encode("latin-1"))
    latin = shell("once", "latin.csv")
    assert latin.code == 5
    reason = shell("quarantine", "list", "-o", "json").data[0]["reason"]
    assert "--encoding cp1252" in reason


def test_a_source_is_removed_with_all_that_is_held_of_it(
    shell: Shell, database_url: str, scripted_lambda: ScriptedLambda
) -> None:
    tweets(shell)
    rows = [f"{n},2026-03-01T00:00:00Z,other {n}" for n in range(30)]
    write(shell, "kept.csv", "id,time,text", *rows, "31,x,broken time")
    assert shell("once", "tweets.csv").code == 0
    assert shell("once", "kept.csv").code == 5
    shell("override", "set", "tweets", "1001", "negative", "--why", "test")
    spent = shell("cost", "report", "-o", "json").data
    looked = shell("sources", "remove", "tweets", "--dry-run", "-o", "json").data
    assert (looked["records"], looked["scores"], looked["overrides"]) == (60, 60, 1)
    asked = shell("sources", "remove", "tweets")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert count(shell, "tweets") == 60
    with psycopg.connect(_plain(database_url)) as holder:
        lock = "SELECT pg_advisory_lock(%s, id) FROM sentiment.source WHERE name = 'tweets'"
        holder.execute(lock, (0x53454E54,))
        assert shell("sources", "remove", "tweets", "--yes").code == 4
    done = shell("sources", "remove", "tweets", "--yes")
    assert done.code == 0, done.err
    assert "No source is named 'tweets'" in shell("scores", "--source", "tweets").err
    assert [row["source"] for row in shell("status", "-o", "json").data] == ["kept"]
    with psycopg.connect(_plain(database_url)) as connection:
        assert connection.execute(WRONG_DAYS.encode()).fetchall() == []
        for table in ("record", "chunk", "quarantine", "daily", "cursor", "run"):
            left = connection.execute(
                f"SELECT count(*) FROM sentiment.{table} x WHERE to_jsonb(x)->>'source_id' = '1'"
                .encode()
            ).fetchone()  # fmt: skip
            assert left == (0,), table
        assert connection.execute("SELECT count(*) FROM sentiment.score").fetchone() == (30,)
        assert connection.execute("SELECT count(*) FROM sentiment.override").fetchone() == (0,)
    still = shell("cost", "report", "-o", "json").data
    assert sum(r["invocations"] for r in still) == sum(r["invocations"] for r in spent)
    again = shell("once", "tweets.csv", "--id", "content")
    assert again.code == 0, again.err
    assert count(shell, "tweets") == 60


def _plain(url: str) -> str:
    plain = database.normalise_url(url).set(drivername="postgresql")
    return plain.render_as_string(hide_password=False)


@needs_data
def test_the_airline_tweets_have_their_own_ids_and_each_alexa_review_may_have_one(
    shell: Shell,
) -> None:
    ingest = DATA / "ingest"
    done = shell("once", ingest / "airline_tweets.csv")
    assert done.code == 0, done.err
    assert "id from 'tweet_id'" in done.err
    assert count(shell, "airline_tweets") == 14_485
    assert "155 rows repeat an id" in done.err
    alexa = shell(
        "once", ingest / "amazon_alexa.tsv", "--id", "row", "--text", "verified_reviews",
        "--time", "date", "--timezone", "UTC",
    )  # fmt: skip
    assert alexa.code == 0, alexa.err
    with open(ingest / "amazon_alexa.tsv", encoding="utf-8-sig", newline="") as file:
        rows = sum(1 for _ in csv.DictReader(file, delimiter="\t"))
    assert count(shell, "amazon_alexa") == rows == 3_150
