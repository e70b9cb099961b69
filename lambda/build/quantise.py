"""Fused fp32 ONNX -> static int8, so that a text's score never depends on its neighbours.

The encoder's MatMuls: weights int8 per channel (7 bits, for processors without VNNI),
activations uint8 with ranges chosen beforehand for the least squared error, after SmoothQuant
evened out the channels (https://arxiv.org/abs/2211.10438). Embedding tables: int8 per row,
weights only. Then the result is compared with fp32, alone and in company, and described in a
manifest.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from tokenizers import Tokenizer

MAX_TOKENS = 128
TEXTS = 300
"""Calibration: training texts, one a run, so that no padding is seen."""

SMOOTHING = 0.75
SAMPLE = 4_000
CLIPS = np.linspace(0.15, 1.0, 18)
LARGEST_TABLE_KEPT = 100

Feed = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="has fused.onnx and rows.jsonl")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="sentiment-small")
    parser.add_argument("--version", default="dev")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    texts = _texts(options.work / "rows.jsonl")
    feeds = [_feed([encoding.ids]) for encoding in tokenizer.encode_batch(texts[:TEXTS])]
    fused = options.work / "fused.onnx"
    smoothed = smooth(onnx.load(fused), feeds)
    quantised = quantise_matmuls(smoothed, feeds, options.work)
    shrink_embeddings(quantised)
    target = options.out / "model.onnx"
    onnx.save(quantised, target)
    shutil.copyfile(options.tokenizer, options.out / "tokenizer.json")
    facts = compare(fused, target, tokenizer, texts[TEXTS : TEXTS + 500])
    write_manifest(options.out, options.name, options.version, facts)
    print(json.dumps(facts, indent=1))


def smooth(model: onnx.ModelProto, feeds: Sequence[Feed]) -> onnx.ModelProto:
    """x @ W = (x / s) @ (s W): takes the outliers of a few channels out of the activations."""
    weights = {i.name: i for i in model.graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in _matmuls(model):
        if any(part in node.input[0] for part in ("LayerNorm", "act_fn")):
            users.setdefault(node.input[0], []).append(node)
    largest = {name: np.zeros(1, np.float32) for name in users}
    for values in _observed(model, list(users), feeds):
        for name, value in values.items():
            largest[name] = np.maximum(largest[name], np.abs(value[0]).max(0))
    for name, nodes in users.items():
        _smooth_one(model, weights, name, nodes, largest[name])
    return model


def quantise_matmuls(model: onnx.ModelProto, feeds: Sequence[Feed], work: Path) -> onnx.ModelProto:
    names = sorted({node.input[0] for node in _matmuls(model)})
    ranges = {name: best_range(values) for name, values in _samples(model, names, feeds).items()}
    _declare_types(model)
    before, after = work / "smoothed.onnx", work / "int8.onnx"
    onnx.save(model, before)
    quantize_static(
        str(before),
        str(after),
        _Reader(feeds),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            "MatMulConstBOnly": True,
            "OpTypesToExcludeOutputQuantization": ["MatMul"],
            "TensorQuantOverrides": {
                name: [{"quant_type": QuantType.QUInt8, "scale": scale, "zero_point": zero}]
                for name, (scale, zero) in ranges.items()
            },
        },
    )
    return onnx.load(after)


def best_range(values: Any) -> tuple[Any, Any]:
    """Scale and zero point of the clipped range with the least squared rounding error."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    best: tuple[float, float, int] | None = None
    for a in CLIPS if low < 0 else (1.0,):
        for b in CLIPS if high > 0 else (1.0,):
            scale = (high * b - low * a) / 255 or 1.0
            zero = round(-low * a / scale)
            rounded = (np.clip(np.rint(values / scale) + zero, 0, 255) - zero) * scale
            error = float(((rounded - values) ** 2).mean())
            if best is None or error < best[0]:
                best = (error, scale, zero)
    assert best is not None
    return np.array(best[1], np.float32), np.array(best[2], np.uint8)


def shrink_embeddings(model: onnx.ModelProto) -> None:
    """Look-up tables as int8 and a scale a row: most of a small model's bytes."""
    graph = model.graph
    tables = {i.name: i for i in graph.initializer}
    for node in list(graph.node):
        if node.op_type != "Gather" or node.input[0] not in tables:
            continue
        name, ids, output = node.input[0], node.input[1], node.output[0]
        table = numpy_helper.to_array(tables[name])
        if table.ndim != 2 or table.shape[0] < LARGEST_TABLE_KEPT:
            continue
        scale = (np.abs(table).max(1, keepdims=True) / 127).astype(np.float32)
        scale[scale == 0] = 1
        small = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
        graph.initializer.remove(tables[name])
        graph.initializer.append(numpy_helper.from_array(small, f"{name}_q"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_s"))
        place = list(graph.node).index(node)
        graph.node.remove(node)
        for offset, made in enumerate(
            (
                helper.make_node("Gather", [f"{name}_q", ids], [f"{output}_q"]),
                helper.make_node("Gather", [f"{name}_s", ids], [f"{output}_s"]),
                helper.make_node("Cast", [f"{output}_q"], [f"{output}_f"], to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{output}_f", f"{output}_s"], [output]),
            )
        ):
            graph.node.insert(place + offset, made)


def compare(fused: Path, quantised: Path, tokenizer: Tokenizer, texts: list[str]) -> Feed:
    """Against fp32, and against itself in company of others."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    full, small = _session(fused), _session(quantised)
    alone = np.concatenate([_softmax(small.run(None, _feed([ids]))[0]) for ids in encoded])
    exact = np.concatenate([_softmax(full.run(None, _feed([ids]))[0]) for ids in encoded])
    order = random.Random(0).sample(range(len(texts)), len(texts))
    company = np.zeros_like(alone)
    for start in range(0, len(order), 32):
        group = order[start : start + 32]
        company[group] = _softmax(small.run(None, _feed([encoded[i] for i in group]))[0])
    change = np.abs(alone - exact).max(1)
    return {
        "mean_change": round(float(change.mean()), 4),
        "p99_change": round(float(np.quantile(change, 0.99)), 4),
        "same_label": round(float((alone.argmax(1) == exact.argmax(1)).mean()), 4),
        "largest_change_by_batch": round(float(np.abs(alone - company).max()), 6),
        "labels_flipped_by_batch": int((alone.argmax(1) != company.argmax(1)).sum()),
    }


def write_manifest(folder: Path, name: str, version: str, facts: Feed) -> None:
    files = {
        file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for file in ("model.onnx", "tokenizer.json")
    }
    manifest = {
        "name": name,
        "version": version,
        "labels": ["negative", "neutral", "positive"],
        "polarities": [-1.0, 0.0, 1.0],
        "max_tokens": MAX_TOKENS,
        "files": files,
        "quantisation": facts,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def _smooth_one(
    model: onnx.ModelProto,
    weights: dict[str, onnx.TensorProto],
    name: str,
    nodes: Sequence[onnx.NodeProto],
    largest: Any,
) -> None:
    found = [numpy_helper.to_array(weights[node.input[1]]) for node in nodes]
    widest = np.max([np.abs(weight).max(1) for weight in found], 0)
    scale = np.maximum(largest, 1e-3) ** SMOOTHING / np.maximum(widest, 1e-3) ** (1 - SMOOTHING)
    scale = (scale / np.exp(np.log(scale).mean())).astype(np.float32)
    for node, weight in zip(nodes, found, strict=True):
        scaled = numpy_helper.from_array(weight * scale[:, None], node.input[1])
        weights[node.input[1]].CopyFrom(scaled)
        node.input[0] = f"{name}_smooth"
    model.graph.initializer.append(numpy_helper.from_array(1 / scale, f"{name}_scale"))
    first = min(list(model.graph.node).index(node) for node in nodes)
    made = helper.make_node("Mul", [name, f"{name}_scale"], [f"{name}_smooth"])
    model.graph.node.insert(first, made)


def _samples(model: onnx.ModelProto, names: list[str], feeds: Sequence[Feed]) -> Feed:
    draw = np.random.default_rng(0)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for values in _observed(model, names, feeds):
        for name, value in values.items():
            flat = value.ravel()
            extremes = [flat.min(), flat.max()]
            found[name].append(np.append(flat[draw.integers(0, len(flat), SAMPLE)], extremes))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _observed(model: onnx.ModelProto, names: list[str], feeds: Sequence[Feed]) -> Any:
    """The tensors of these names, for each feed."""
    spied = copy.deepcopy(model)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    spied.graph.output.extend(outputs)
    session = _session(spied.SerializeToString())
    for feed in feeds:
        yield dict(zip(names, session.run(names, feed), strict=True))


def _declare_types(model: onnx.ModelProto) -> None:
    """Fused operators carry no types; without them the quantiser leaves activations in fp32,
    and does not say so."""
    known = {value.name for value in model.graph.value_info}
    kinds = ("MatMul", "SkipLayerNormalization", "LayerNormalization", "Gelu",
             "MultiHeadAttention", "Add", "Mul")  # fmt: skip
    for node in model.graph.node:
        name = node.output[0]
        if node.op_type in kinds and name not in known and name != "logits":
            shape = ["batch", "tokens", f"width_{name}"]
            model.graph.value_info.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            )


def _matmuls(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    constants = {i.name for i in model.graph.initializer}
    return [n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in constants]


def _session(model: Path | bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    source = str(model) if isinstance(model, Path) else model
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _feed(ids: Sequence[Sequence[int]]) -> Feed:
    width = max(map(len, ids))
    padded = np.array([[*row, *[0] * (width - len(row))] for row in ids], np.int64)
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in ids], np.int64)
    return {"input_ids": padded, "attention_mask": mask}


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _texts(path: Path) -> list[str]:
    texts = [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]
    random.Random(3).shuffle(texts)
    return texts


if __name__ == "__main__":
    main()
