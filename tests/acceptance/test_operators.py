"""As an operator on call would: plan, apply, pause, kill, resume, and see that it adds up."""

from __future__ import annotations

import csv
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Shell

RECORDS = 5_000
SLOW = {"SENTIMENT_LOCAL_ENVIRONMENTS": "1", "SENTIMENT_MAX_CONCURRENCY": "1"}
"""Half a minute, or so, for all of them: long enough to be stopped in the middle, twice."""

PLAN_KEYS = {
    *("id", "source", "since", "until", "records", "distinct_texts", "chunks", "invocations"),
    *("gb_seconds", "cost_usd", "duration_s", "already_scored"),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder with reviews of January and February, scored once by the local Lambda."""
    folder = tmp_path_factory.mktemp("operator")
    with open(folder / "reviews.csv", "w", encoding="utf-8", newline="") as file:
        rows = (
            (n, f"a good day, number {n}", f"2026-{1 + n % 2:02}-{1 + n % 28:02}T12:00:00Z")
            for n in range(RECORDS)
        )
        csv.writer(file).writerows([("id", "text", "time"), *rows])
    (folder / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "reviews"\nkind = "file"\npath = "reviews.csv"\n'
        'schedule = "0 3 * * *"\n'
    )
    shell = Shell(folder)
    assert shell("once").code == 0
    return shell


def plan(desk: Shell, *more: object) -> dict[str, Any]:
    done = desk("backfill", "plan", "--source", "reviews", *more, "--output", "json")
    assert done.code == 0, done.err
    found: dict[str, Any] = done.data
    return found


def status(desk: Shell, backfill_id: int) -> dict[str, Any]:
    found: dict[str, Any] = desk("backfill", "status", backfill_id, "--output", "json").data
    return found


def test_january_again_costs_what_was_said(desk: Shell) -> None:
    found = plan(desk, "--since", "2026-01-01", "--until", "2026-02-01")
    assert found.keys() >= PLAN_KEYS
    assert (found["records"], found["already_scored"], found["overwritten"]) == (
        RECORDS // 2,
        RECORDS // 2,
        0,
    )
    before = desk("scores", "--limit", RECORDS, "--output", "json").data
    assert desk("backfill", "apply", found["id"], "--dry-run").code == 0
    done = desk("backfill", "apply", found["id"], "--output", "json")
    assert done.code == 0, done.err
    assert done.data["invocations"] == found["invocations"]
    assert done.data["scored"] == RECORDS // 2
    assert 0 < done.data["cost_usd"] < 10 * found["cost_usd"]
    assert desk("scores", "--limit", RECORDS, "--output", "json").data == before
    again = desk("backfill", "apply", found["id"])
    assert again.code == 2
    assert "done" in again.err


def test_paused_killed_resumed_it_adds_up(desk: Shell) -> None:
    found = plan(desk)
    with desk.started("backfill", "apply", found["id"], **SLOW) as apply:
        while not status(desk, found["id"])["invocations"]:
            assert apply.poll() is None
        paused = desk("backfill", "pause", found["id"], "--reason", "lunch")
        assert paused.code == 0, paused.err
        assert "0 chunks leased" in paused.err
        assert apply.wait(30) == 6
    seen = status(desk, found["id"])
    assert (seen["state"], seen["reason"]) == ("paused", "lunch")
    assert 0 < seen["finished"] < RECORDS
    with desk.started("backfill", "resume", found["id"], **SLOW) as resume:
        while status(desk, found["id"])["invocations"] == seen["invocations"]:
            assert resume.poll() is None
        resume.send_signal(signal.SIGKILL)
    killed = status(desk, found["id"])
    assert killed["state"] == "running"
    done = desk("backfill", "resume", found["id"], "--output", "json")
    assert done.code == 0, done.err
    assert (done.data["state"], done.data["finished"]) == ("done", RECORDS)
    # What was under way at the kill is sent again, no more.
    assert done.data["scored"] + 50 * 64 >= RECORDS
    assert done.data["invocations"] <= found["invocations"] + 64
    rows = desk("scores", "--limit", 2 * RECORDS, "--output", "json").data
    assert len(rows) == RECORDS
    assert not any(row["provisional"] or row["label"] is None for row in rows)


def test_cancelled_it_leaves_nothing(desk: Shell) -> None:
    found = plan(desk, "--limit", 100)
    assert desk("backfill", "cancel", found["id"], "--dry-run").code == 0
    assert desk("backfill", "cancel", found["id"]).code == 0
    assert status(desk, found["id"])["state"] == "cancelled"
    refused = desk("backfill", "resume", found["id"])
    assert refused.code == 2
    assert desk("backfill", "apply", 999).code == 2


def test_serve_takes_up_what_is_detached(desk: Shell) -> None:
    found = plan(desk, "--limit", 200)
    assert desk("backfill", "apply", found["id"], "--detach").code == 0
    with desk.started("serve") as serve:
        deadline = time.monotonic() + 60
        while status(desk, found["id"])["state"] != "done":
            assert time.monotonic() < deadline
            time.sleep(0.5)
        serve.terminate()
        assert serve.wait(30) == 0


def test_a_deploy_does_not_end_what_is_detached(desk: Shell) -> None:
    """SIGTERM ends the process, not the backfill: the next `serve` goes on by itself."""
    found = plan(desk)
    assert desk("backfill", "apply", found["id"], "--detach").code == 0
    for _ in range(2):
        with desk.started("serve", SENTIMENT_GRACE="0.1s", **SLOW) as serve:
            deadline = time.monotonic() + 60
            before = status(desk, found["id"])["invocations"]
            while status(desk, found["id"])["invocations"] == before:
                assert time.monotonic() < deadline
            serve.terminate()
            assert serve.wait(30) == 0
        if status(desk, found["id"])["state"] == "done":
            break
        assert status(desk, found["id"])["state"] == "running"
    assert desk("backfill", "resume", found["id"]).code == 0
    assert status(desk, found["id"])["state"] == "done"


def test_too_dear_is_refused_with_a_code_of_its_own(desk: Shell) -> None:
    done = desk("backfill", "plan", "--source", "reviews", "--max-cost", "0.0000001")
    assert done.code == 7
    assert "no plan was saved" in done.err


def test_a_budget_leaves_the_work_pending(desk: Shell) -> None:
    with open(desk.folder / "reviews.csv", "a", encoding="utf-8") as file:
        file.writelines(f"late{n},a late text {n},2026-03-01T00:00:00Z\n" for n in range(300))
    done = desk("once", SENTIMENT_BUDGET_DAILY="0.0000001")
    assert done.code == 7, done.err
    assert "budget is spent" in done.err
    assert desk("runs", "--output", "json", "-n", 1).data[0]["state"] == "over_budget"
    assert desk("once").code == 0
    assert desk("status", "--output", "json").data[0]["pending"] == 0


def test_cursors_are_seen_set_rewound_and_undone(desk: Shell, tmp_path: Path) -> None:
    state = desk("state", "get", "reviews").data
    kept = tmp_path / "state.json"
    kept.write_text(json.dumps(state))
    assert (
        desk("state", "rewind", "reviews", "--beginning", "--why", "a try", "--dry-run").code == 0
    )
    assert desk("state", "get", "reviews").data == state
    assert desk("state", "rewind", "reviews", "--beginning", "--why", "a try").code == 0
    assert desk("state", "get", "reviews").data != state
    (change, *_) = desk("state", "history", "reviews", "--output", "json").data
    assert (change["why"], change["before"], change["after"]) == ("a try", *state.values(), {})
    assert desk("state", "rewind", "reviews", "--before", change["id"], "--why", "undo").code == 0
    assert desk("state", "get", "reviews").data == state
    assert desk("state", "rewind", "reviews", "--to", "365d", "--why", "all").code == 0
    assert desk("state", "set", "reviews", kept, "--why", "restored").code == 0
    assert desk("state", "get", "reviews").data == state
    assert desk("state", "rewind", "reviews", "--why", "what?").code == 2
    kept.write_text("[]")
    assert desk("state", "set", "reviews", kept, "--why", "wrong").code == 2
    sent = desk("cost", "report", "--by", "source", "--output", "json").data[0]["invocations"]
    assert desk("state", "rewind", "reviews", "--beginning", "--why", "again").code == 0
    assert desk("once").code == 0
    after = desk("cost", "report", "--by", "source", "--output", "json").data[0]["invocations"]
    assert after == sent, "reading again sends nothing that is scored"


def test_a_source_that_never_ran_can_be_paused(tmp_path: Path) -> None:
    (tmp_path / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "fresh"\nkind = "file"\npath = "reviews.csv"\n'
    )
    shell = Shell(tmp_path)
    assert shell("db", "upgrade").code == 0
    assert shell("schedule", "pause", "fresh", "--for", "1h", "--reason", "not yet").code == 0
    (row,) = shell("status", "--output", "json").data
    assert row["paused"].endswith("not yet")
    assert "not yet" in shell("once").err
    assert shell("runs", "--output", "json").data == []
    unknown = shell("schedule", "pause", "frseh", "--for", "1h", "--reason", "x")
    assert (unknown.code, "frseh" in unknown.err) == (2, True)


def test_a_paused_source_rests_and_says_so(desk: Shell) -> None:
    paused = desk("schedule", "pause", "reviews", "--for", "2h", "--reason", "a migration")
    assert paused.code == 0
    (listed,) = desk("schedule", "list", "--output", "json").data
    assert listed["reason"] == "a migration"
    assert listed["next"][0].endswith("03:00:00")
    assert {"done", "over_budget"} <= set(listed["last_runs"])
    before = len(desk("runs", "--output", "json", "-n", 100).data)
    done = desk("once")
    assert done.code == 0
    assert "a migration" in done.err
    assert len(desk("runs", "--output", "json", "-n", 100).data) == before
    assert desk("schedule", "resume", "reviews").code == 0
    assert desk("once").code == 0


def test_every_runs_counters_add_up(desk: Shell) -> None:
    rows = desk("runs", "--output", "json", "-n", 100).data
    assert {row["trigger"] for row in rows} >= {"once", "backfill"}
    for row in rows:
        parts = ("new", "changed", "unchanged", "duplicate", "quarantined")
        assert row["read"] == sum(row[name] for name in parts), row
        whole = desk("runs", "show", row["id"], "--output", "json").data
        assert whole["id"] == row["id"]


def test_the_cost_of_it_all(desk: Shell) -> None:
    rows = desk("cost", "report", "--by", "model", "--output", "json").data
    assert rows[0]["gb_seconds"] > 0
    assert rows[0]["records"] >= RECORDS
    estimated = desk("cost", "estimate", 1_000_000, "--source", "reviews", "--output", "json").data
    assert estimated["pace_texts"] > 0
    assert estimated["invocations"] == 20_000
    assert desk("cost", "report", "--by", "weather").code == 2


def test_another_version_judges_side_by_side_and_is_promoted(desk: Shell) -> None:
    """The function that truncates long texts names itself another version: a real second one."""
    old, new = "1.0.0", "1.0.0+truncate"
    done = desk("rescore", "plan", "--source", "reviews", "--to", new, "--limit", 200,
                "--label", "positive", "--output", "json")  # fmt: skip
    assert done.code == 0, done.err
    found = done.data
    assert (found["records"], found["already_scored"]) == (200, 0)
    refused = desk("backfill", "apply", found["id"])
    assert refused.code == 2
    assert old in refused.err
    assert new in refused.err
    assert status(desk, found["id"])["state"] == "paused"
    assert desk("backfill", "resume", found["id"], LONG_TEXTS="truncate").code == 0
    flips = desk("rescore", "flips", old, new, "--output", "json").data
    assert flips["by_source"][0]["compared"] == 200
    assert flips["by_source"][0]["other_label"] == len(flips["examples"]) == 0
    assert desk("rescore", "promote", new, "--dry-run").code == 0
    assert desk("rescore", "promote", new).code == 0
    shown = desk("scores", "--limit", RECORDS * 2, "--output", "json").data
    assert sum(row["model_version"] == new for row in shown) == 200
    assert desk("rescore", "demote", new).code == 0
    shown = desk("scores", "--limit", RECORDS * 2, "--output", "json").data
    assert not any(row["model_version"] == new for row in shown)
    assert desk("rescore", "promote", "9.9").code == 2


def test_what_a_run_left_is_done_again(desk: Shell) -> None:
    with open(desk.folder / "broken.csv", "w", encoding="utf-8") as file:
        file.write("id,text\n1,a good day\n2\n")
    assert desk("once", "broken.csv").code == 5
    (run, *_) = desk("runs", "--source", "broken", "--output", "json").data
    whole = desk("runs", "show", run["id"], "--output", "json").data
    assert [row["stage"] for row in whole["quarantine"]] == ["read"]
    assert desk("runs", "retry", run["id"], "--dry-run").code == 0
    retried = desk("runs", "retry", run["id"])
    assert retried.code == 5, "the file itself is not configured: its row stays"
    assert "stay in quarantine" in retried.err
    (again, *_) = desk("runs", "--source", "broken", "--output", "json").data
    assert (again["trigger"], again["invocations"]) == ("retry", 0)
    assert desk("runs", "retry", 99_999).code == 2


def test_a_state_that_is_none_of_this_sources_is_refused(desk: Shell, tmp_path: Path) -> None:
    state = desk("state", "get", "reviews").data
    (partition,) = state
    wrong = tmp_path / "wrong.json"
    for text in (
        json.dumps({"/another/file.csv": state[partition]}),
        json.dumps({partition: state[partition] | {"offset": "x"}}),
        '{"a": {"b": NaN}}',
        '{"a": {"b": "\\ud800"}}',
        '{"a": {"b": "\\u0000"}}',
        "[" * 100_000,
    ):
        wrong.write_text(text)
        refused = desk("state", "set", "reviews", wrong, "--why", "a mistake")
        assert refused.code == 2, (text[:60], refused.err)
    assert desk("state", "get", "reviews").data == state
