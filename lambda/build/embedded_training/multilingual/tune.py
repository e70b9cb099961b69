"""Fine-tune the cut encoder to three classes, then make its probabilities mean what they say.

    python tune.py --init base --work work --out work/model              # an hour on two cores
    python tune.py --init base --work work --out /tmp/trial --steps 20   # does it run?

AdamW with a rate that falls layer by layer; word embeddings are learnt sparsely: only the rows of a
batch move. The temperature is fitted on the development sets, each weighing the same, and goes into
the classifier's weights; sets of two classes have no say, and neither have XLM-T's Hindi
validation texts, whose labels do not fit them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

sys.path.append(str(Path(__file__).parents[1]))
from train import LABELS, Example, _by_length, _endless, examples, logits

STEPS = 7_580
"""2.8 epochs of 86,361 rows in batches of 32."""

RATE, HEAD, DECAY = 1e-4, 3.0, 0.95
"""Of the last layer; of the head, in times; from each layer to the one below it."""

WARM_UP, SMOOTHING, DROPOUT = 0.05, 0.05, 0.1
NO_SAY = ("sst2", "uci", "xlmt hi")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--init", type=Path, required=True, help="the folder of base.py")
    parser.add_argument("--work", type=Path, required=True, help="the folder of rows.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    tokenizer = Tokenizer.from_file(str(options.init / "tokenizer.json"))
    model = AutoModelForSequenceClassification.from_pretrained(
        options.init,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: n for n, label in enumerate(LABELS)},
        hidden_dropout_prob=DROPOUT,
        attention_probs_dropout_prob=DROPOUT,
        attn_implementation="eager",
    )
    fit(model, examples(tokenizer, options.work / "rows.jsonl"), options.steps, options.batch)
    temperature = calibrate(model, development(tokenizer, options.work / "dev.jsonl"))
    print(f"temperature {temperature:.3f}, in the classifier's weights")
    model.save_pretrained(options.out)
    tokenizer.no_truncation()
    tokenizer.save(str(options.out / "tokenizer.json"), pretty=False)


def fit(model: Any, rows: list[Example], steps: int, batch: int) -> None:
    """`steps` updates; every rate warms up, and falls to zero in a line."""
    words = model.get_input_embeddings()
    words.sparse = True
    dense = torch.optim.AdamW(groups(model))
    lowest = RATE * DECAY**model.config.num_hidden_layers
    sparse = torch.optim.SparseAdam([words.weight], lr=lowest)
    moving = [(group, group["lr"]) for group in (*dense.param_groups, *sparse.param_groups)]
    trained = [p for group in dense.param_groups for p in group["params"]]
    model.train()
    started = time.monotonic()
    for step, group in enumerate(_endless(rows, batch), 1):
        if step > steps:
            return
        for each, rate in moving:
            each["lr"] = rate * min(1.0, step / (steps * WARM_UP)) * (1 - (step - 1) / steps)
        loss = torch.nn.functional.cross_entropy(
            logits(model, group),
            torch.tensor([label for _, label in group]),
            label_smoothing=SMOOTHING,
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimiser in (dense, sparse):
            optimiser.step()
            optimiser.zero_grad()
        if step % 100 == 0 or step == steps:
            print(f"step {step}/{steps} loss {loss:.4f} {time.monotonic() - started:.0f} s")


def groups(model: Any) -> list[dict[str, Any]]:
    """Parameters by rate and weight decay, without the word embeddings."""
    layers = model.config.num_hidden_layers
    found: dict[tuple[float, float], list[Any]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if "word_embeddings" in name:
            continue
        if "encoder.layer." in name:
            below = layers - 1 - int(name.split("encoder.layer.")[1].split(".")[0])
            rate = RATE * DECAY**below
        else:
            rate = RATE * (DECAY**layers if "embeddings" in name else HEAD)
        decayed = 0.0 if "bias" in name or "LayerNorm" in name else 0.01
        found[rate, decayed].append(parameter)
    return [{"params": p, "lr": r, "weight_decay": d} for (r, d), p in found.items()]


def development(tokenizer: Tokenizer, path: Path) -> dict[str, list[Example]]:
    """The development sets that have a say, by name."""
    sets: dict[str, list[Example]] = defaultdict(list)
    names = [json.loads(line)["set"] for line in path.read_text("utf-8").splitlines()]
    for name, example in zip(names, examples(tokenizer, path), strict=True):
        if not name.startswith(NO_SAY):
            sets[name].append(example)
    return sets


def calibrate(model: Any, sets: dict[str, list[Example]]) -> float:
    """Divide the classifier's weights by the temperature that surprises least."""
    model.eval()
    with torch.no_grad():
        found = {name: _answers(model, rows) for name, rows in sets.items()}

        def surprise(temperature: float) -> float:
            losses = [
                torch.nn.functional.cross_entropy(said / temperature, truth).item()
                for said, truth in found.values()
            ]
            return sum(losses) / len(losses)

        temperature = min((t / 100 for t in range(50, 401)), key=surprise)
        model.classifier.weight /= temperature
        model.classifier.bias /= temperature
    return temperature


def _answers(model: Any, rows: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(_by_length(rows, 32))
    said = torch.cat([logits(model, batch) for batch in batches])
    return said, torch.tensor([label for batch in batches for _, label in batch])


if __name__ == "__main__":
    main()
