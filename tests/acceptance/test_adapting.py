"""A model learns from corrections, where it is shown to be better; and is used as any other."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from sentiment_function.model import EMBEDDED, BadModel, Model

from tests.acceptance.command import Shell
from worker.insight import adapting
from worker.local import model_folder
from worker.store import database

PLAIN = ("The parcel number {n} was handed to the courier on {day}.", "negative")
"""The model calls them neutral; to these people a parcel that was only handed over is late."""
GLAD = ("Thank you, order {n} came on {day} and everybody here loves it!", "positive")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


@pytest.fixture
def shell(tmp_path: Path, database_url: str) -> Shell:
    rows = [
        (f"{kind}{n}", text.format(n=100 + n, day=DAYS[n % 5]))
        for kind, (text, _) in (("plain", PLAIN), ("glad", GLAD))
        for n in range(40)
    ]
    lines = "".join(f'{key},"{text}"\n' for key, text in rows)
    (tmp_path / "reviews.csv").write_text(f"id,text\n{lines}", encoding="utf-8")
    shell = Shell(tmp_path, DATABASE_URL=database_url, LAMBDA_FUNCTION_NAME="local")
    assert shell("once", "reviews.csv").code == 0
    return shell


def corrected(shell: Shell, sql: str) -> None:
    """Many corrections at once, as `override set` makes each."""
    url = database.normalise_url(shell.variables["DATABASE_URL"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        connection.execute(
            "INSERT INTO sentiment.override"
            " (record_id, content_hash, label, polarity, made_by, why)"
            f" SELECT id, content_hash, {sql}, 0, 'ana', 'seen' FROM sentiment.record".encode()
        )


def test_it_learns_what_people_say_and_keeps_the_rest(shell: Shell) -> None:
    corrected(shell, "CASE WHEN external_id LIKE 'plain%' THEN 'negative' ELSE 'positive' END")
    done = shell("model", "adapt", "--source", "reviews", "--out", "model", "--output", "json")
    assert done.code == 0, done.err
    assert done.data["corrections"] == 80
    assert done.data["right_after"] > done.data["right_before"] + 0.3
    assert done.data["p_value"] < 0.001
    before, after = Model(EMBEDDED), Model(shell.folder / "model")
    assert after.version.startswith("1.0.0+reviews.")
    fresh = PLAIN[0].format(n=999, day="Sunday")
    assert before.sentiments([fresh])[0].label != "negative"
    assert after.sentiments([fresh])[0].label == "negative"
    other = adapting.anchors()
    pairs = zip(before.sentiments(other), after.sentiments(other), strict=True)
    same = sum(a.label == b.label for a, b in pairs) / len(other)
    assert same > 0.93, "what nobody spoke of stays as it was"
    told = json.loads((shell.folder / "model" / "manifest.json").read_text("utf-8"))
    assert told["parent"]["version"] == "1.0.0"
    assert told["adapted"]["source"] == "reviews"
    again = shell("model", "adapt", "--source", "reviews", "--out", "model")
    assert again.code == 2
    assert "is there already" in again.err
    _is_used_as_any_other_model(shell, told["version"])


def _is_used_as_any_other_model(shell: Shell, version: str) -> None:
    shell.variables["MODEL_DIR"] = str(shell.folder / "model")
    planned = shell("rescore", "plan", "-s", "reviews", "--to", version)
    assert planned.code == 0, planned.err
    assert shell("backfill", "apply", "1").code == 0
    flips = shell("rescore", "flips", "1.0.0", version, "--output", "json").data
    assert flips["by_source"][0]["other_label"] >= 38
    assert shell("rescore", "promote", version).code == 0


def test_what_is_no_better_is_not_written(shell: Shell) -> None:
    few = shell("model", "adapt", "--source", "reviews", "--out", "model")
    assert few.code == 2
    assert "at least 50 are needed" in few.err
    # As the model said already, but for a coin's throw: there is nothing to learn.
    corrected(shell, "CASE WHEN external_id LIKE 'plain%' THEN CASE WHEN id % 2 = 0 THEN 'neutral'"
                     " ELSE 'positive' END ELSE 'positive' END")  # fmt: skip
    refused = shell("model", "adapt", "--source", "reviews", "--out", "model")
    assert refused.code == 1, refused.err
    assert "Nothing was written" in refused.err
    assert not (shell.folder / "model").exists()


def test_a_head_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    manifest = json.loads((EMBEDDED / "manifest.json").read_text("utf-8"))
    folder = tmp_path / "model"
    folder.mkdir()
    for name in manifest["files"]:
        (folder / name).symlink_to(EMBEDDED / name)
    zeros = {"weights": [[0.0] * 3] * 384, "bias": [0.0] * 3}
    for head, digested, why in (
        (zeros, False, "not as it was written"),
        (zeros | {"weights": [[0.0] * 2] * 384}, True, "one column a label"),
        (zeros | {"weights": [[float("nan")] * 3] * 384}, True, "no numbers"),
        ({}, True, "weights"),
    ):
        made = manifest | {"head": head}
        made |= {"digest": model_folder.digest_of(made)} if digested else {}
        (folder / "manifest.json").write_text(json.dumps(made), encoding="utf-8")
        with pytest.raises(BadModel, match=why):
            Model(folder)
