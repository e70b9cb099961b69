"""A correction of a model's last layer, learnt from people's corrections: `sentiment-worker model
adapt` writes one into a manifest. The encoder, most of the model, stays as it is.

    logits + pooled @ weights + bias

where `pooled` is what the encoder says of a text, the input of its last layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Head:
    weights: Any
    """Of shape (width of the encoder, labels)."""
    bias: Any
    """Of shape (labels,)."""

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Head | None:
        """None where the manifest has no correction. Raises ValueError for one of another shape."""
        said = manifest.get("head")
        if said is None:
            return None
        weights = np.array(said["weights"], dtype=np.float64)
        bias = np.array(said["bias"], dtype=np.float64)
        labels = len(manifest["labels"])
        if weights.ndim != 2 or weights.shape[1] != labels or bias.shape != (labels,):
            raise ValueError("the head has not one column a label")
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ValueError("the head has weights that are no numbers")
        return cls(weights, bias)

    def corrected(self, logits: Any, pooled: Any) -> Any:
        return logits + pooled @ self.weights + self.bias


def also_giving(model: bytes, name: str) -> bytes:
    """An ONNX model that gives one of its inner tensors, of numbers, as an output besides.

    Messages of protocol buffers that are written one after the other are merged as they are read:
    a graph of nothing but an output adds that output to the graph before it.
    https://protobuf.dev/programming-guides/encoding/#last-one-wins; the numbers of the fields:
    https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (ModelProto.graph = 7,
    GraphProto.output = 12, ValueInfoProto.name = 1 and type = 2, TypeProto.tensor_type = 1,
    Tensor.elem_type = 1, of which 1 is float)
    """
    number = _field(1, b"\x08\x01")
    return model + _field(7, _field(12, _field(1, name.encode()) + _field(2, number)))


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
