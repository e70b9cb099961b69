"""What programs read, and what people are shown: JSON whose keys stay, help with examples."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import COMMAND, Shell
from worker.cli.commands import LISTED, load

TEXT, NUMBER, FLAG, MAYBE = str, (int, float), bool, type(None)

RUN = {
    **dict.fromkeys(("source", "trigger", "state", "started_at", "finished_at"), TEXT),
    **dict.fromkeys(("duration",), NUMBER),
    **dict.fromkeys(("error", "due_at"), (TEXT, MAYBE)),
    "warnings": (list, MAYBE),
    "backfill_id": (int, MAYBE),
    **dict.fromkeys(
        (
            *("id", "read", "new", "changed", "unchanged", "duplicate", "quarantined", "skipped"),
            *("scored", "provisional", "undecided", "superseded", "dead", "invocations"),
            *("texts_sent", "throttled", "failed", "fenced", "billed_ms", "billed_mb_ms"),
            "unreported",
        ),
        int,
    ),
}

SCHEMAS: dict[str, dict[str, Any]] = {
    "status": {
        **dict.fromkeys(("source", "last_run", "last_finished"), TEXT),
        **dict.fromkeys(("records", "pending", "provisional", "quarantined"), int),
        **dict.fromkeys(("oldest_pending", "paused"), (TEXT, MAYBE)),
    },
    "runs": RUN,
    "runs list": RUN,
    "scores": {
        **dict.fromkeys(("source", "external_id", "text", "scorer", "model", "ingested_at"), TEXT),
        **dict.fromkeys(("label", "model_version", "scored_at", "published_at"), (TEXT, MAYBE)),
        **dict.fromkeys(("fallback_reason", "skip_reason", "author", "language"), (TEXT, MAYBE)),
        **dict.fromkeys(("score", "polarity"), NUMBER),
        **dict.fromkeys(("provisional", "language_supported"), FLAG),
        "tags": (dict, MAYBE),
        **dict.fromkeys(("revision", "record_id", "source_id"), int),
        "moment": TEXT,
        "machine_label": (TEXT, MAYBE),
        "machine_polarity": (*NUMBER, MAYBE),
        **dict.fromkeys(("overridden_by", "override_why", "overridden_at"), (TEXT, MAYBE)),
    },
    "override list": {
        **dict.fromkeys(("source", "external_id", "text", "made_by", "why", "made_at"), TEXT),
        **dict.fromkeys(("label", "machine_label", "model", "model_version"), (TEXT, MAYBE)),
        **dict.fromkeys(("polarity", "machine_polarity"), NUMBER),
        "id": int,
        "in_force": FLAG,
    },
    "override agreement": {
        **dict.fromkeys(("source", "model", "model_version"), TEXT),
        **dict.fromkeys(("judged", "same_label"), int),
        **dict.fromkeys(("agreement", "mean_distance"), NUMBER),
    },
    "schedule list": {
        **dict.fromkeys(("source", "rhythm"), TEXT),
        **dict.fromkeys(("next", "last_runs"), list),
        **dict.fromkeys(("last_finished", "paused", "paused_until", "reason"), (TEXT, MAYBE)),
    },
    "state history reviews": {
        **dict.fromkeys(("id",), int),
        **dict.fromkeys(("partition", "changed_by", "why", "changed_at"), TEXT),
        **dict.fromkeys(("before", "after"), (dict, MAYBE)),
        "run_id": (int, MAYBE),
    },
    "rescore list": {
        **dict.fromkeys(("provider", "model", "version", "first_seen"), TEXT),
        **dict.fromkeys(("id", "scores"), int),
        "promoted_at": (TEXT, MAYBE),
        "languages": (list, MAYBE),
        "current": FLAG,
    },
    "cost report": {
        **dict.fromkeys(("day", "source"), TEXT),
        **dict.fromkeys(("invocations", "texts", "answered", "records"), int),
        **dict.fromkeys(("billed_ms", "billed_mb_ms", "unreported"), int),
        **dict.fromkeys(("gb_seconds", "cost_usd", "saved_usd"), NUMBER),
    },
    "backfill status": {
        **dict.fromkeys(("source", "state", "created_by", "created_at"), TEXT),
        **dict.fromkeys(("changed_by", "changed_at"), TEXT),
        **dict.fromkeys(("reason", "since", "until"), (TEXT, MAYBE)),
        **dict.fromkeys(
            (
                *("id", "records", "finished", "leased_chunks", "planned_invocations"),
                *("invocations", "billed_mb_ms", "scored", "superseded", "dead"),
            ),
            int,
        ),
        **dict.fromkeys(("seconds", "cost_usd"), NUMBER),
        **dict.fromkeys(("max_cost", "time_left_s"), (*NUMBER, MAYBE)),
    },
    "quarantine list": {
        **dict.fromkeys(("source", "stage", "partition", "offset", "reason", "created_at"), TEXT),
        **dict.fromkeys(("id", "run_id", "source_id"), int),
        "record_id": (int, MAYBE),
    },
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("output")
    with open(folder / "reviews.csv", "w", encoding="utf-8", newline="") as file:
        rows = ((n, f"a good day {n}", f"2026-01-0{1 + n}T00:00:00Z") for n in range(5))
        csv.writer(file).writerows([("id", "text", "time"), *rows, ("half a row",)])
    (folder / "sentiment-worker.toml").write_text(
        '[[source]]\nname = "reviews"\nkind = "file"\npath = "reviews.csv"\n'
    )
    shell = Shell(folder)
    assert shell("once").code == 5
    assert shell("backfill", "plan", "--source", "reviews").code == 0
    assert shell("override", "set", "reviews", "1", "positive", "--why", "so it is").code == 0
    return shell


@pytest.mark.parametrize("command", SCHEMAS)
def test_the_keys_and_types_that_programs_rely_on(desk: Shell, command: str) -> None:
    done = desk(*command.split(), "--output", "json")
    assert done.code == 0, done.err
    row = done.data[0]
    wanted = SCHEMAS[command]
    assert row.keys() == wanted.keys()
    wrong = {name: value for name, value in row.items() if not isinstance(value, wanted[name])}
    assert not wrong


def all_of(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command, or each of a group."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, each in command.commands.items():
        yield from all_of(each, (*path, name))


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    said = {listed.name: load(listed).get_short_help_str(200) for listed in LISTED}
    assert said == {listed.name: listed.about for listed in LISTED}


def test_the_list_of_commands_imports_none_of_them() -> None:
    """SQLAlchemy takes longer to import than the list to print."""
    shown = "import sys; from worker.cli import app; app(['--help'], standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-c", f"{shown}; sys.exit('sqlalchemy' in sys.modules)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Operate" in done.stdout


def test_every_command_says_what_it_does_and_shows_an_example() -> None:
    found = [each for listed in LISTED for each in all_of(load(listed), (listed.name,))]
    assert len(found) >= 40
    silent = [" ".join(path) for path, command in found if not command.help]
    assert not silent
    without = [" ".join(p) for p, c in found if "Example" not in (c.epilog or "")]
    assert not without


def test_no_colour_where_none_is_wanted(desk: Shell) -> None:
    """Not in a pipe; and on a terminal not if NO_COLOR is set."""
    assert "\x1b[" not in desk("status").out
    for wanted, variables in ((True, {}), (False, {"NO_COLOR": "1"})):
        done = subprocess.run(
            [sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)",
             str(COMMAND), "runs", "show", "999"],
            cwd=desk.folder, env=desk.variables | {"TERM": "xterm-256color"} | variables,
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert ("31m" in done.stdout) is wanted, done.stdout


def test_the_shell_completes(desk: Shell, tmp_path: Path) -> None:
    done = desk(
        _SENTIMENT_WORKER_COMPLETE="complete_bash",
        COMP_WORDS="sentiment-worker backfill pl",
        COMP_CWORD="2",
    )
    assert done.out.split() == ["plan"]
