"""Any sequence classifier becomes the function's model, or a sentence says why not.

The checkpoints are DistilBERT's exact architecture (checkpoints.py); build.py runs as a command.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import check
import checkpoint
import export
import pytest
import quantise
from onnxruntime.quantization import QuantType, quantize_dynamic
from sentiment_function.model import Model

from tests.model.checkpoints import EMBEDDED, LABELS, distilbert

BUILD = Path(check.__file__).with_name("build.py")
SENTENCES = BUILD.with_name("sentences.txt").read_text("utf-8").splitlines()


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distilbert(tmp_path_factory.mktemp("checkpoint"), 2)


def build(folder: Path, out: Path, *options: object, **variables: str) -> Any:
    return subprocess.run(
        [sys.executable, BUILD, "--model", folder, "--out", out, *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | variables,
    )


@pytest.fixture(scope="session")
def built(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    done = build(original, out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_manifest_says_what_it_is(built: Path) -> None:
    manifest = json.loads((built / "manifest.json").read_text("utf-8"))
    assert manifest["labels"] == ["negative", "positive"]
    assert manifest["polarities"] == [-1.0, 1.0]
    assert manifest["max_tokens"] == 512
    assert len(manifest["source"]["revision"]) == 64
    facts = manifest["quantisation"]["against_original"]
    assert facts["same_label"] >= check.SAME_LABEL
    assert facts["largest_change_by_batch"] <= check.CHANGE_BY_BATCH


def test_the_function_runs_it_and_neighbours_change_nothing(built: Path) -> None:
    model = Model(built)
    assert model.version == json.loads((built / "manifest.json").read_text("utf-8"))["version"]
    alone = [model.sentiments([text])[0] for text in SENTENCES[:40]]
    order = random.Random(1).sample(range(40), 40)
    together = model.sentiments([SENTENCES[i] for i in order])
    for i, found in zip(order, together, strict=True):
        assert found.label == alone[i].label
        assert found.score == pytest.approx(alone[i].score, abs=0.005)
    assert {found.label for found in alone} == {"negative", "positive"}
    assert all(found.polarity == pytest.approx(_signed(found), abs=1e-5) for found in alone)


def _signed(found: Any) -> float:
    """Of two labels the polarity is the difference of their probabilities."""
    value: float = (2 * found.score - 1) * (1 if found.label == "positive" else -1)
    return value


@pytest.mark.parametrize("count", [3, 5])
def test_three_and_five_labels(count: int, tmp_path: Path) -> None:
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("\n".join(SENTENCES[:240]), encoding="utf-8")
    folder = distilbert(tmp_path / "checkpoint", count)
    done = build(folder, tmp_path / "out", "--sentences", sentences)
    assert done.returncode == 0, done.stderr
    found = Model(tmp_path / "out").sentiments(["I love this, it is great", "Awful. I hate it"])
    assert found[0].label in LABELS[count][-2:]
    assert found[0].polarity > 0 > found[1].polarity
    assert all(0 < sentiment.score <= 1 for sentiment in found)


def test_plain_dynamic_quantisation_would_be_refused(original: Path, tmp_path: Path) -> None:
    """The check finds what it is there for: scores that move with their neighbours."""
    model = export.load(original)
    fused = export.export(model, tmp_path)
    dynamic = tmp_path / "dynamic.onnx"
    quantize_dynamic(tmp_path / "raw.onnx", dynamic, weight_type=QuantType.QInt8)
    tokenizer = checkpoint.tokenizer_of(checkpoint.read(original, "x", "1"))
    token_ids = [encoding.ids for encoding in tokenizer.encode_batch(SENTENCES[:60])]
    facts = check.compare(model, dynamic, token_ids)
    assert facts["largest_change_by_batch"] > check.CHANGE_BY_BATCH
    with pytest.raises(SystemExit, match="is not the original"):
        check.require_good(facts)
    exact = check.compare(model, fused, token_ids)
    assert exact["mean_change"] < 1e-4, "the fused graph computes what torch computes"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auto_map": {"AutoModel": "evil.py"}}, "never run here"),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, "--polarities"),
        ({"id2label": {}}, "--labels"),
        ({"problem_type": "multi_label_classification"}, "several labels"),
    ],
)
def test_what_cannot_be_built_is_a_sentence(
    original: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    config = json.loads((original / "config.json").read_text("utf-8")) | change
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(SystemExit, match=said):
        checkpoint.read(tmp_path, "a model", "1")


def test_a_checkpoint_that_has_only_a_vocabulary(original: Path, tmp_path: Path) -> None:
    """As the default model is laid out: vocab.txt, and no tokenizer.json."""
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(original / name)
    fast = checkpoint.tokenizer_of(checkpoint.read(original, "a model", "1"))
    words = sorted(fast.get_vocab().items(), key=lambda item: item[1])
    (tmp_path / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words), "utf-8")
    made = checkpoint.tokenizer_of(checkpoint.read(tmp_path, "a model", "1"))
    assert made.get_vocab() == fast.get_vocab()
    for sentence in SENTENCES:
        assert made.encode(sentence).ids == fast.encode(sentence).ids


def test_labels_must_be_as_many_as_the_models(original: Path, tmp_path: Path) -> None:
    done = build(original, tmp_path / "out", "--labels", "negative,neutral,positive")
    assert done.returncode == 1
    assert "has 2 labels, not 3" in done.stderr
    assert not (tmp_path / "out").exists()


def test_pickles_are_not_loaded(original: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((original / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(SystemExit, match="safetensors"):
        checkpoint.read(tmp_path, "a model", "1")


def test_a_name_without_a_network_is_a_sentence(tmp_path: Path) -> None:
    done = build(Path("nobody/nothing"), tmp_path / "out")
    assert done.returncode == 1
    assert "cannot be fetched" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_pinned_revision_is_transformers_own() -> None:
    from transformers import pipelines

    text = Path(pipelines.__file__).read_text("utf-8")
    assert f'("{checkpoint.DEFAULT_MODEL}", "{checkpoint.DEFAULT_REVISION}")' in text


@pytest.mark.parametrize(
    ("labels", "polarities"),
    [
        (("negative", "positive"), (-1, 1)),
        (("negative", "neutral", "positive"), (-1, 0, 1)),
        (("very negative", "negative", "neutral", "positive", "very positive"),
         (-1, -0.5, 0, 0.5, 1)),
        (("1 star", "2 stars", "3 stars", "4 stars", "5 stars"), (-1, -0.5, 0, 0.5, 1)),
    ],
)  # fmt: skip
def test_polarities_by_name(labels: tuple[str, ...], polarities: tuple[float, ...]) -> None:
    assert checkpoint.polarities_of(labels) == polarities


def test_the_embedded_model_is_of_this_method() -> None:
    manifest = json.loads((EMBEDDED / "manifest.json").read_text("utf-8"))
    assert manifest["quantisation"]["method"].startswith(quantise.METHOD.split(":", maxsplit=1)[0])
