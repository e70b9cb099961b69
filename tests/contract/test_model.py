"""A score depends on the text and the model's version alone."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from sentiment_function.model import EMBEDDED, BadModel, Model
from sentiment_function.wire import Sentiment

SAMPLE = Path(__file__).parents[2] / "worker" / "sample" / "tickets.jsonl"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(EMBEDDED)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    lines = SAMPLE.read_text("utf-8").splitlines()[1:]
    return [json.loads(line)["body"] for line in lines]


def test_never_on_the_neighbours_their_order_or_a_retry(model: Model, texts: list[str]) -> None:
    alone = {text: model.sentiments([text])[0] for text in texts}
    mixed = texts * 2
    random.Random(0).shuffle(mixed)
    for start in range(0, len(mixed), 50):
        group = mixed[start : start + 50]
        for text, found in zip(group, model.sentiments(group), strict=True):
            assert found.label == alone[text].label
            assert found.score == pytest.approx(alone[text].score, abs=0.005)
            assert found.polarity == pytest.approx(alone[text].polarity, abs=0.005)


def test_polarity_is_positive_minus_negative_and_within_bounds(
    model: Model, texts: list[str]
) -> None:
    for found in model.sentiments(texts):
        assert isinstance(found, Sentiment)
        assert 1 / 3 <= found.score <= 1
        assert -1 <= found.polarity <= 1
        assert (found.polarity > 0) or found.label != "positive"


def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    with open(folder / "model.onnx", "r+b") as file:
        file.seek(1000)
        file.write(b"\0\0\0\0")
    with pytest.raises(BadModel, match=r"model\.onnx"):
        Model(folder)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="no usable model"):
        Model(tmp_path)


def test_a_long_text_is_read_to_its_end(model: Model) -> None:
    beginning, end = "The parcel came on Monday. " * 40, "Terrible, awful, I hate it. " * 40
    (whole,) = model.sentiments([beginning + end])
    (cut,) = Model(EMBEDDED, truncate=True).sentiments([beginning + end])
    assert whole.windows > 1
    assert whole.polarity < cut.polarity - 0.2, "the end is worse than the beginning"
    assert (whole.truncated, cut.truncated, cut.windows) == (False, True, 1)


def test_windows_count_by_their_length(model: Model) -> None:
    """n windows of the same text say what one of them says."""
    text = "I love it so much. " * 20
    assert model.sentiments([text])[0].windows == 1
    (once,), (often,) = model.sentiments([text]), model.sentiments([text * 9])
    assert often.windows > 5
    assert often.polarity == pytest.approx(once.polarity, abs=0.05)


def test_a_truncating_model_is_another_version() -> None:
    assert Model(EMBEDDED, truncate=True).version == f"{Model(EMBEDDED).version}+truncate"


def test_a_text_beyond_all_bounds_is_cut_and_flagged(model: Model) -> None:
    (found,) = model.sentiments(["good " * 40_000])
    assert found.truncated
    assert found.windows > 100


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["positive", "neutral", "negative"]},
        {"files": {}},
        {"max_tokens": 2},
        {"polarities": [-5.0, 0.0, 5.0]},
        {"labels": None},
    ],
)
def test_a_manifest_that_was_changed_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8")) | change
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BadModel):
        Model(folder)


def test_one_that_forgot_something_is_refused(tmp_path: Path) -> None:
    for name in ("digest", "name", "version", "labels", "files"):
        folder = tmp_path / name
        shutil.copytree(EMBEDDED, folder)
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        del manifest[name]
        (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        with pytest.raises(BadModel):
            Model(folder)


def test_a_call_is_bounded_and_the_text_at_fault_is_named() -> None:
    """Of rare marks each character is a token: a megabyte would be minutes."""
    model = Model(EMBEDDED, text_tokens=10 * 128)
    texts = ["¿" * 100_000, "good", "¿" * 5_000, "bad"]
    first, small, hostile, last = model.results(texts, 3_000)
    assert isinstance(first, Sentiment)
    assert first.truncated
    assert first.windows == 10
    assert isinstance(small, Sentiment)
    assert isinstance(last, Sentiment)
    again = model.results(["¿" * 5_000, "¿" * 5_000, "¿" * 5_000, "good"], 3_000)
    assert [isinstance(found, Sentiment) for found in again] == [True, True, False, True]
    assert isinstance(hostile, Sentiment)
