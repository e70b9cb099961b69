"""The model: ONNX Runtime over a folder of model.onnx, tokenizer.json and manifest.json."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from sentiment_function.wire import Sentiment

EMBEDDED = Path(__file__).parent / "embedded"
"""The small model that ships with the package; MODEL_DIR names another."""

BATCH_TEXTS = 8
"""Texts a batch. Small batches of similar length pad little: 5 to 10 were fastest."""


class BadModel(RuntimeError):
    """The folder is not the model that its manifest describes."""


class Model:
    """Loaded once per execution environment. A score depends on its text alone: the weights
    are quantised statically, so no batch-mate takes part in a text's rounding."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """Raises BadModel when a file's hash is not the manifest's."""
        manifest = _verified(folder)
        self.name: str = manifest["name"]
        self.version: str = manifest["version"]
        self._labels: list[str] = manifest["labels"]
        self._polarities = np.array(manifest["polarities"], dtype=np.float64)
        self._max_tokens: int = manifest["max_tokens"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self._max_tokens)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def sentiments(self, texts: Sequence[str]) -> list[Sentiment]:
        """One sentiment a text, in order. Any text: empty, megabytes, any script."""
        encodings = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        found: list[Sentiment | None] = [None] * len(texts)
        for batch in _batches(order):
            probabilities = self._probabilities([encodings[i] for i in batch])
            for i, row in zip(batch, probabilities, strict=True):
                found[i] = self._sentiment(row, truncated=bool(encodings[i].overflowing))
        return [sentiment for sentiment in found if sentiment is not None]

    def _probabilities(self, encodings: Sequence[Encoding]) -> Any:
        width = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(encodings), width), dtype=np.int64)
        mask = np.zeros((len(encodings), width), dtype=np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        logits = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

    def _sentiment(self, probabilities: Any, *, truncated: bool) -> Sentiment:
        best = int(probabilities.argmax())
        polarity = float(probabilities @ self._polarities)
        return Sentiment(
            self._labels[best],
            round(float(probabilities[best]), 6),
            round(max(-1.0, min(1.0, polarity)), 6),
            truncated,
        )


def model_folder() -> Path:
    return Path(os.environ.get("MODEL_DIR") or EMBEDDED)


def _batches(order: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), BATCH_TEXTS):
        yield order[start : start + BATCH_TEXTS]


def _verified(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
        for name, expected in manifest["files"].items():
            with open(folder / name, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise BadModel(f"{name} in {folder} is not the file that its manifest names")
    except (OSError, ValueError, KeyError) as error:
        raise BadModel(f"{folder} holds no usable model: {error}") from error
    return manifest
