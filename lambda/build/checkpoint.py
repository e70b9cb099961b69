"""A Hugging Face sequence classifier, from the hub or a folder, and what is to be known of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

DEFAULT_MODEL = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
DEFAULT_REVISION = "714eb0f"
"""What transformers' own pipeline("sentiment-analysis") pins:
https://github.com/huggingface/transformers/blob/main/src/transformers/pipelines/__init__.py"""

FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*.json"),
    *("special_tokens_map.json", "vocab.*", "merges.txt", "*.model"),
)
"""Weights only as safetensors: a pickle may run code when it is loaded."""

MAX_TOKENS = 512


class CannotBuild(SystemExit):
    """Ends the command with a sentence."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    folder: Path
    source: str
    """The hub's name, or the folder's."""
    revision: str
    """The commit at the hub, or the weights' SHA-256."""
    labels: tuple[str, ...]
    polarities: tuple[float, ...]
    """Of each label, in [-1, 1]."""
    max_tokens: int

    def require_width(self, outputs: int) -> None:
        """Raises CannotBuild where the model has not as many outputs as there are labels."""
        if outputs != len(self.labels):
            raise CannotBuild(
                f"{self.source} has {outputs} labels, not {len(self.labels)}: name them all."
            )


def fetch(model: str, revision: str | None, into: Path) -> tuple[Path, str]:
    """(folder, revision). A folder is taken as it is, without a network; else the hub is asked,
    with HF_TOKEN for gated models. Raises CannotBuild."""
    if os.path.isdir(model):
        return Path(model), _digest(Path(model))
    from huggingface_hub import HfApi, snapshot_download

    if revision is None and model == DEFAULT_MODEL:
        revision = DEFAULT_REVISION
    try:
        commit = HfApi().model_info(model, revision=revision).sha
        folder = snapshot_download(
            model, revision=commit, local_dir=into, allow_patterns=list(FILES)
        )
    except Exception as error:  # noqa: BLE001  the hub's own, its HTTP library's, a name's
        raise CannotBuild(
            f"{model} cannot be fetched: {type(error).__name__}. Check its name, the network, and "
            "HF_TOKEN if it is gated; a folder works without a network."
        ) from None
    return Path(folder), str(commit)


def read(
    folder: Path,
    source: str,
    revision: str,
    *,
    labels: Sequence[str] | None = None,
    polarities: Sequence[float] | None = None,
) -> Checkpoint:
    """Raises CannotBuild for what is no sequence classifier, or whose labels say nothing."""
    if not list(folder.glob("*.safetensors")):
        raise CannotBuild(f"{folder} has no *.safetensors; other formats are not loaded.")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if "auto_map" in config:
        raise CannotBuild(f"{source} brings code of its own, which is never run here.")
    if labels is None:
        by_id = config.get("id2label") or {}
        labels = [by_id[key] for key in sorted(by_id, key=int)]
    if len(labels) < 2:
        raise CannotBuild(f"{source} has no labels; name them: --labels negative,positive")
    if str(config.get("problem_type", "")).startswith("multi_label"):
        raise CannotBuild(f"{source} gives a text several labels at once; one a text is read here.")
    names = tuple(label.strip().lower() for label in labels)
    known = tuple(polarities) if polarities else polarities_of(names)
    if len(known) != len(names) or not all(-1 <= value <= 1 for value in known):
        raise CannotBuild("Give one polarity from -1 to 1 a label: --polarities=-1,0,1")
    return Checkpoint(folder, source, revision, names, known, _longest(folder, config))


def _longest(folder: Path, config: dict[str, Any]) -> int:
    """Tokens that the model reads. RoBERTa's positions begin behind its padding id: two fewer."""
    positions = int(config.get("max_position_embeddings", MAX_TOKENS))
    if "roberta" in str(config.get("model_type")):
        positions -= int(config.get("pad_token_id", 1)) + 1
    tokenizer = folder / "tokenizer_config.json"
    said = json.loads(tokenizer.read_text("utf-8")) if tokenizer.exists() else {}
    return min(positions, int(min(said.get("model_max_length") or MAX_TOKENS, MAX_TOKENS)))


def polarities_of(labels: Sequence[str]) -> tuple[float, ...]:
    """What labels of the usual names amount to. Raises CannotBuild for others."""
    graded = any(label.startswith("very ") for label in labels)
    return tuple(_polarity(label, graded=graded) for label in labels)


def _polarity(label: str, *, graded: bool) -> float:
    if stars := re.fullmatch(r"([1-5]) stars?", label):
        return (int(stars[1]) - 3) / 2
    strength = 0.5 if graded and not label.startswith("very ") else 1.0
    for beginning, direction in (("neg", -1.0), ("neu", 0.0), ("pos", 1.0)):
        if label.removeprefix("very ").startswith(beginning):
            return direction * strength
    raise CannotBuild(
        f"The label {label!r} says nothing of its polarity. Name the labels and their polarities: "
        "--labels negative,neutral,positive --polarities=-1,0,1"
    )


def tokenizer_of(checkpoint: Checkpoint) -> Tokenizer:
    """The fast tokenizer, which the function reads without transformers."""
    file = checkpoint.folder / "tokenizer.json"
    if file.exists():
        tokenizer = Tokenizer.from_file(str(file))
    else:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.enable_truncation(checkpoint.max_tokens)
    return tokenizer


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
