"""Checkpoints of DistilBERT's exact architecture, without a hub.

    python -m tests.model.checkpoints FOLDER [2|3|5]

Random weights would have no margins to compare: an untrained network tells texts apart by less than
int8 rounds. So the embedded model is laid into DistilBERT's shapes, twice side by side (384 wide
becomes 768, heads of 32 become heads of 64): the same function in a network of the right size.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import DistilBertConfig, DistilBertForSequenceClassification

EMBEDDED = Path(__file__).parents[2] / "lambda" / "sentiment_function" / "embedded"
LABELS = {
    2: ("NEGATIVE", "POSITIVE"),
    3: ("negative", "neutral", "positive"),
    5: ("1 star", "2 stars", "3 stars", "4 stars", "5 stars"),
}
# Of the embedded model's logits (negative, neutral, positive): one row a label.
MIXED = {
    2: ((1, 0, 0), (0, 0, 1)),
    3: ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    5: ((1, 0, 0), (0.5, 0.5, 0), (0, 1, 0), (0, 0.5, 0.5), (0, 0, 1)),
}
State = dict[str, torch.Tensor]


def distilbert(folder: Path, labels: int = 2) -> Path:
    """Write config.json, model.safetensors and tokenizer.json, as Hugging Face lays them out."""
    names = dict(enumerate(LABELS[labels]))
    config = DistilBertConfig(
        num_labels=labels, id2label=names, label2id={name: n for n, name in names.items()}
    )
    model = DistilBertForSequenceClassification(config).eval()
    model.load_state_dict(_doubled(_Embedded(), labels))
    model.save_pretrained(folder)
    shutil.copyfile(EMBEDDED / "tokenizer.json", folder / "tokenizer.json")
    return folder


class _Embedded:
    """The embedded model's weights in fp32, without what quantising did to them."""

    def __init__(self) -> None:
        graph = onnx.load(str(EMBEDDED / "model.onnx")).graph
        self._values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self._matmuls = [n for n in graph.node if n.op_type == "MatMul"]
        self._made_by = {output: node for node in graph.node for output in node.output}

    def __getitem__(self, name: str) -> Any:
        return self._values[f"m.bert.{name}"]

    def classifier(self) -> tuple[Any, Any]:
        return self._values["m.classifier.weight"], self._values["m.classifier.bias"]

    def table(self, name: str) -> Any:
        name = f"m.bert.embeddings.{name}_embeddings.weight"
        return self._values[f"{name}_q"] * self._values[f"{name}_s"]

    def qkv_bias(self, layer: int) -> Any:
        return np.split(self._values[f"Attention_{layer}_qkv_bias"], 3)

    def matrix(self, layer: int, place: int) -> Any:
        """(inputs, outputs) of q, k, v, attention's output, the two of the feed-forward part."""
        node = self._matmuls[layer * 6 + place]
        name = self._made_by[node.input[1]].input[0].removesuffix("_quantized")
        weight = self._values[f"{name}_quantized"] * self._values[f"{name}_scale"]
        smoothed = self._made_by[self._made_by[self._made_by[node.input[0]].input[0]].input[0]]
        if smoothed.op_type == "Mul" and smoothed.input[1] in self._values:
            weight = weight * self._values[smoothed.input[1]][:, None]
        return weight


def _doubled(small: _Embedded, labels: int) -> State:
    state: dict[str, Any] = {}
    table = small.table("position") + small["embeddings.token_type_embeddings.weight"][:1]
    state["distilbert.embeddings.word_embeddings.weight"] = _twice(small.table("word"))
    state["distilbert.embeddings.position_embeddings.weight"] = _twice(table)
    for part in ("weight", "bias"):
        name = f"embeddings.LayerNorm.{part}"
        state[f"distilbert.{name}"] = _twice(small[name])
    for layer in range(6):
        state |= _layer(small, layer)
    state |= _head(small, labels)
    return {name: torch.tensor(np.ascontiguousarray(v, np.float32)) for name, v in state.items()}


def _layer(small: _Embedded, layer: int) -> dict[str, Any]:
    here, there = f"distilbert.transformer.layer.{layer}", f"encoder.layer.{layer}"
    state: dict[str, Any] = {}
    for place, (name, bias) in enumerate(
        zip(("q_lin", "k_lin", "v_lin"), small.qkv_bias(layer), strict=True)
    ):
        # Two equal halves in a head of 64: their products add up to twice, over sqrt(2) more.
        scale = 2**-0.25 if name != "v_lin" else 1.0
        state[f"{here}.attention.{name}.weight"] = _by_heads(small.matrix(layer, place).T) * scale
        state[f"{here}.attention.{name}.bias"] = _heads_of(bias) * scale
    out = small.matrix(layer, 3).T
    state[f"{here}.attention.out_lin.weight"] = _by_heads(out.T).T
    state[f"{here}.attention.out_lin.bias"] = _twice(small[f"{there}.attention.output.dense.bias"])
    names = (("ffn.lin1", "intermediate.dense"), ("ffn.lin2", "output.dense"))
    for place, (ours, theirs) in enumerate(names, 4):
        state[f"{here}.{ours}.weight"] = _blocks(small.matrix(layer, place).T)
        state[f"{here}.{ours}.bias"] = _twice(small[f"{there}.{theirs}.bias"])
    for ours, theirs in (("sa_layer_norm", "attention.output"), ("output_layer_norm", "output")):
        for part in ("weight", "bias"):
            state[f"{here}.{ours}.{part}"] = _twice(small[f"{there}.{theirs}.LayerNorm.{part}"])
    return state


def _head(small: _Embedded, labels: int) -> dict[str, Any]:
    """The pooler's tanh by two ReLUs each, in corners: relu(x + 1) - relu(x - 1) - 1."""
    pooler, bias = small["pooler.dense.weight"], small["pooler.dense.bias"]
    weight, offset = small.classifier()
    mix = np.array(MIXED[labels], np.float32)
    half = np.zeros_like(pooler)
    return {
        "pre_classifier.weight": np.block([[pooler, half], [pooler, half]]),
        "pre_classifier.bias": np.concatenate([bias + 1, bias - 1]),
        "classifier.weight": mix @ np.concatenate([weight, -weight], axis=1),
        "classifier.bias": mix @ (offset - weight.sum(1)),
    }


def _twice(value: Any) -> Any:
    return np.concatenate([value, value], axis=-1)


def _blocks(matrix: Any) -> Any:
    zero = np.zeros_like(matrix)
    return np.block([[matrix, zero], [zero, matrix]])


def _by_heads(matrix: Any) -> Any:
    """(384, 384), outputs first -> (768, 768), its outputs in 12 heads of 32 + 32."""
    blocks = _blocks(matrix).reshape(2, 12, 32, 768)
    return blocks.transpose(1, 0, 2, 3).reshape(768, 768)


def _heads_of(bias: Any) -> Any:
    heads = bias.reshape(12, 32)
    return np.concatenate([heads, heads], axis=1).reshape(768)


if __name__ == "__main__":
    distilbert(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
