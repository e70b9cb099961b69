"""A checkpoint -> fused fp32 ONNX: inputs input_ids and attention_mask, output logits.

Attention, Gelu and LayerNorm are fused; the projections of Q, K and V stay MatMuls, so that
quantise.py finds them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from transformers import AutoModelForSequenceClassification

OPSET = 17


class Classifier(torch.nn.Module):
    """Two inputs and one output, whatever the architecture would like."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        types = torch.zeros_like(input_ids)
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=types
        ).logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = AutoModelForSequenceClassification.from_pretrained(
        options.model, attn_implementation="eager"
    ).eval()
    raw, fused = options.out / "raw.onnx", options.out / "fused.onnx"
    ids, mask = torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long)
    mask[1, 5:] = 0
    torch.onnx.export(
        Classifier(model),
        (ids, mask),
        str(raw),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={
            "input_ids": {0: "batch", 1: "tokens"},
            "attention_mask": {0: "batch", 1: "tokens"},
            "logits": {0: "batch"},
        },
        opset_version=OPSET,
        dynamo=False,
    )
    wanted = FusionOptions("bert")
    wanted.use_multi_head_attention = True
    wanted.enable_gelu_approximation = False
    wanted.enable_embed_layer_norm = False
    wanted.enable_bias_gelu = False
    wanted.enable_bias_skip_layer_norm = False
    optimised = optimizer.optimize_model(
        str(raw),
        model_type="bert",
        num_heads=model.config.num_attention_heads,
        hidden_size=model.config.hidden_size,
        opt_level=0,
        optimization_options=wanted,
    )
    optimised.save_model_to_file(str(fused))
    print(fused, optimised.get_fused_operator_statistics())


if __name__ == "__main__":
    main()
