"""Records in languages that the model reads, and in one that it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sentiment_function.model import EMBEDDED, ENGLISH, Model, _digest

from tests.acceptance.command import Shell

ROWS = (
    ("en1", "", "The staff were lovely and the room was spotless."),
    ("de1", "", "Der Service war furchtbar, ich komme nie wieder hierher zurück."),
    ("es1", "", "La comida estaba riquísima y el personal fue muy amable con todos."),
    ("nl1", "", "Het eten was heerlijk en de bediening was erg vriendelijk vandaag."),
    ("nl2", "", "Helaas vertrok de trein vandaag weer een half uur te laat naar huis."),
    ("said", "tr", "ok"),
    ("short", "", "ok"),
)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("languages")
    lines = "".join(f'{i},{language},"{text}",2026-03-02\n' for i, language, text in ROWS)
    (folder / "reviews.csv").write_text(f"id,language,text,date\n{lines}", encoding="utf-8")
    shell = Shell(folder)
    done = shell("once", "reviews.csv", "--timezone", "UTC")
    assert done.code == 0, done.err
    return shell


def test_each_record_says_its_language(scored: Shell) -> None:
    rows = {r["external_id"]: r for r in scored("scores", "--output", "json").data}
    assert {i: (r["language"], r["language_supported"]) for i, r in rows.items()} == {
        "en1": ("en", True),
        "de1": ("de", True),
        "es1": ("es", True),
        "nl1": ("nl", False),
        "nl2": ("nl", False),
        "said": ("tr", False),  # the source's word; the text itself is too short to tell
        "short": (None, True),
    }
    assert {i: rows[i]["label"] for i in ("en1", "de1", "es1")} == {
        "en1": "positive",
        "de1": "negative",
        "es1": "positive",
    }


def test_what_the_model_cannot_read_is_counted_apart(scored: Shell) -> None:
    columns = "records, positive, negative, unscored, unsupported"
    sql = f"SELECT {columns} FROM analytics.daily_sentiment"
    (day,) = scored("sql", sql, "--output", "json").data
    assert (day["records"], day["unscored"], day["unsupported"]) == (7, 3, 3)
    assert (day["positive"], day["negative"]) == (2, 1)
    said = scored("report", "--since", "2026-03-02", "--until", "2026-03-03").out
    assert "3 records are in a language that the model does not read (nl, tr)" in " ".join(
        said.split()
    )


def test_a_guess_is_found_by_no_label_and_comes_last_in_an_order(scored: Shell) -> None:
    def ids(*options: object) -> list[str]:
        return [row["external_id"] for row in scored("scores", *options, "--output", "json").data]

    for label in ("positive", "neutral", "negative"):
        assert not {"nl1", "nl2", "said"} & set(ids("--label", label)), label
    assert set(ids("--min-polarity", -1)) == {"en1", "de1", "es1", "short"}
    for order in ("most-negative", "most-positive"):
        found = ids("--order", order)
        assert set(found[-3:]) == {"nl1", "nl2", "said"}, "last, but there"
        assert len(found) == 7


def test_a_persons_word_counts_in_any_language(scored: Shell) -> None:
    scored("override", "set", "reviews", "nl2", "negative", "--why", "read by a person")
    sql = "SELECT negative, unsupported, overridden FROM analytics.daily_sentiment"
    (day,) = scored("sql", sql, "--output", "json").data
    assert (day["negative"], day["unsupported"], day["overridden"]) == (2, 2, 1)


def test_one_text_says_its_language_too(scored: Shell) -> None:
    (found,) = scored(
        "score", "Het eten was echt heerlijk vanavond, dank u", "--output", "json"
    ).data
    assert (found["language"], found["language_supported"]) == ("nl", False)


def test_the_english_model_is_there_too(scored: Shell) -> None:
    texts = ("The food was delicious tonight, thank you", "Das Essen war heute wirklich köstlich")
    found = scored("score", *texts, "--output", "json", MODEL_DIR="english").data
    assert found[0]["model"] == "sentiment-small"
    assert [(each["language"], each["language_supported"]) for each in found] == [
        ("en", True),
        ("de", False),
    ]


def test_other_temperatures_need_no_call(scored: Shell) -> None:
    """What is computed from stored scores is what the function says with the new manifest."""
    old = json.loads((EMBEDDED / "manifest.json").read_text(encoding="utf-8"))
    new = old | {"version": "1.0.1", "temperature": {"*": 1.5, "de": 2.5, "es": 0.7}}
    folder = scored.folder / "model"
    folder.mkdir()
    for name in old["files"]:
        (folder / name).symlink_to(EMBEDDED / name)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(new | {"digest": _digest(new)}), encoding="utf-8")
    planned = scored("rescore", "recalibrate", EMBEDDED, folder, "--dry-run")
    assert "7 scores of 1.0.0 would get one of 1.0.1" in planned.err
    assert "0 scores" not in scored("rescore", "recalibrate", EMBEDDED, folder).err
    again = scored("rescore", "recalibrate", EMBEDDED, folder)
    assert "0 scores of sentiment-multilingual 1.0.1 were computed" in again.err
    flips = scored("rescore", "flips", "1.0.0", "1.0.1", "--output", "json").data
    assert flips["examples"] == [], "no label changes"
    assert scored("rescore", "promote", "1.0.1").code == 0
    rows = scored("scores", "--scorer", "lambda", "--output", "json").data
    assert len(rows) >= 5
    for row, said in zip(rows, Model(folder).sentiments([r["text"] for r in rows]), strict=True):
        assert (row["label"], row["model_version"]) == (said.label, "1.0.1")
        assert row["score"] == pytest.approx(said.score, abs=5e-6)
        assert row["polarity"] == pytest.approx(said.polarity, abs=5e-6)
    assert scored("rescore", "demote", "1.0.1").code == 0


def test_another_model_is_no_recalibration(scored: Shell) -> None:
    refused = scored("rescore", "recalibrate", EMBEDDED, ENGLISH)
    assert refused.code == 2
    assert "differs from sentiment-multilingual 1.0.0 in more than its temperatures" in refused.err
    old = json.loads((EMBEDDED / "manifest.json").read_text(encoding="utf-8"))
    adapted = scored.folder / "adapted.json"
    changes: list[dict[str, Any]] = [
        {"head": {"weights": [], "bias": []}}, {"max_tokens": 7}, {"polarities": [1]},
    ]  # fmt: skip
    for more in changes:
        adapted.write_text(json.dumps(old | more | {"version": "1.0.0+x"}), encoding="utf-8")
        other = scored("rescore", "recalibrate", EMBEDDED, adapted)
        assert other.code == 2, "its labels would be others"
        assert "in more than its temperatures" in other.err
    same = scored("rescore", "recalibrate", EMBEDDED, EMBEDDED)
    assert "Both manifests are of version 1.0.0" in same.err
    for wrong in (scored.folder / "reviews.csv", scored.folder / "nothing"):
        assert scored("rescore", "recalibrate", EMBEDDED, wrong).code == 2
