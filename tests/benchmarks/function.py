"""The function beside the stock pipeline, on one core, the same model and the same texts:

    make bench-function

DistilBERT's exact architecture (tests/model/checkpoints.py), 50 airline tweets of the real data
where it lies beside the checkout, else reviews of the made-up sample; it says which. Each side is
a process of its own; they take turns, and figures are medians of the turns, so that what else the
machine does falls on both. Prints the method with the figures.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TWEETS = ROOT.parent / "shared" / "data" / "ingest" / "airline_tweets.csv"
TURNS = 5
TEXTS = 50
SEED_GB_SECONDS = 800
"""For 10,000 texts, as the source document counts them: 200 calls of 2 s at 2 GB."""

VCPU_MB = 1_769
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

USD_PER_GB_SECOND = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
"""As published for us-east-1; https://aws.amazon.com/lambda/pricing/ has today's."""


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(_SIDES[sys.argv[1]](Path(sys.argv[2]))))
        return
    from tests.model.checkpoints import distilbert

    with tempfile.TemporaryDirectory() as scratch:
        original, built = Path(scratch) / "original", Path(scratch) / "built"
        distilbert(original)
        subprocess.run(
            [sys.executable, ROOT / "lambda/build/build.py", "--model", original, "--out", built],
            check=True,
        )
        rounds = [
            {"pipeline": _side("pipeline", original), "function": _side("function", built)}
            for _ in range(TURNS)
        ]
        peak = statistics.median(_side("peak", built)["ops_s"] for _ in range(3))
    report(rounds, peak)


def report(rounds: list[dict[str, dict[str, Any]]], peak: float) -> None:
    def median(side: str, what: str) -> float:
        return statistics.median(turn[side][what] for turn in rounds)

    ours, theirs = rounds[0]["function"], rounds[0]["pipeline"]
    pairs = list(zip(ours["answers"], theirs["answers"], strict=True))
    same = sum(a[0] == b[0] for a, b in pairs)
    # Of two labels: where they differ, the other's probability is the rest.
    changes = [abs(a[1] - (b[1] if a[0] == b[0] else 1 - b[1])) for a, b in pairs]
    ratios = [turn["pipeline"]["warm_s"] / turn["function"]["warm_s"] for turn in rounds]
    reached = ours["operations"] / median("function", "warm_s")
    print(
        f"{TURNS} turns of a process a side, one thread, {TEXTS} {_source()},"
        f" {ours['tokens']} tokens"
    )
    print("                     pipeline   function")
    for name, what in (
        ("warm, s", "warm_s"),
        ("cold start, s", "cold_s"),
        ("memory, MB", "rss_mb"),
    ):
        print(f"{name:18} {median('pipeline', what):10.2f} {median('function', what):10.2f}")
    print(f"warm: {statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f})")
    print(f"cold: {median('pipeline', 'cold_s') / median('function', 'cold_s'):.1f} times")
    print(f"the same label: {same} of {TEXTS}")
    print(
        f"change of a probability: {statistics.mean(changes):.4f} on average,"
        f" {max(changes):.4f} at most"
    )
    print(
        f"int8: {reached / 1e9:.0f} billion operations a second, {reached / peak:.0%} of what one"
    )
    print(f"  large product reaches here ({peak / 1e9:.0f})")
    _cost(median("function", "warm_s"))


def _cost(warm_s: float) -> None:
    """10,000 texts in calls of 50, warm; the processor's share follows the memory up to one vCPU,
    and one thread is no faster beyond it."""
    print("memory MB   s a call   GB-s for 10,000 texts   USD x86_64   USD arm64")
    for memory in (512, 1_024, 1_769, 2_048, 3_008):
        seconds = warm_s * max(1.0, VCPU_MB / memory)
        spent = 10_000 / TEXTS * seconds * memory / 1_024
        dollars = [spent * USD_PER_GB_SECOND[kind] for kind in ("x86_64", "arm64")]
        print(
            f"{memory:9}   {seconds:8.3f}   {spent:21.0f}   {dollars[0]:10.6f}   {dollars[1]:9.6f}"
        )
    print(f"(the source document counts {SEED_GB_SECONDS} GB-s)")


def _side(name: str, folder: Path) -> dict[str, Any]:
    variables = os.environ | {
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "lambda"))),
        "STARTED": repr(time.time()),
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.function", name, str(folder)]
    done = subprocess.run(command, env=variables, capture_output=True, check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr.decode()}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _source() -> str:
    return "airline tweets" if TWEETS.is_file() else "reviews of the sample"


def _texts() -> list[str]:
    if TWEETS.is_file():
        with TWEETS.open(encoding="utf-8", newline="") as file:
            return [row["text"] for row in itertools.islice(csv.DictReader(file), TEXTS)]
    with (ROOT / "worker/sample/reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        reviews = [row["review"] for row in rows]
    return [text for text in reviews if 20 < len(text) < 400][:TEXTS]


def _pipeline(folder: Path) -> dict[str, Any]:
    """The stock pipeline in torch, as a first Lambda would have it."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(1)
    scorer = pipeline("sentiment-analysis", model=str(folder), tokenizer=_tokenizer(folder))
    texts = _texts()
    scorer(texts[:1])
    cold = time.time() - float(os.environ["STARTED"])
    warm, said = _timed(lambda: scorer(texts))
    answers = [(result["label"].lower(), result["score"]) for result in said]
    return {"cold_s": cold, "warm_s": warm, "answers": answers, "rss_mb": _resident_mb()}


def _function(folder: Path) -> dict[str, Any]:
    os.environ["MODEL_DIR"] = str(folder)
    sys.stdout = sys.stderr  # the function's log
    from sentiment_function.handler import handler, model

    texts = _texts()
    handler({"texts": texts[:1]}, None)
    cold = time.time() - float(os.environ["STARTED"])
    warm, said = _timed(lambda: handler({"texts": texts}, None))
    sys.stdout = sys.__stdout__
    answers = [(result["sentiment"], result["score"]) for result in said["body"]["results"]]
    tokens = [result.tokens for result in model().results(texts)]  # type: ignore[union-attr]
    return {
        "cold_s": cold,
        "warm_s": warm,
        "answers": answers,
        "rss_mb": _resident_mb(),
        "tokens": sum(tokens),
        "operations": sum(map(_operations, tokens)),
    }


def _operations(tokens: int) -> float:
    """Multiplications and additions of the products with weights, of a text: 6 layers, 768 wide."""
    return 2.0 * tokens * 6 * (4 * 768 * 768 + 2 * 768 * 3_072)


def _peak(folder: Path) -> dict[str, Any]:
    """What onnxruntime reaches here in one large int8 product that fits the caches."""
    import numpy as np
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    rows, inner, columns = 256, 768, 3_072
    weight = np.random.default_rng(0).integers(-64, 64, (inner, columns), np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [rows, columns])],
        [numpy_helper.from_array(weight, "w")],
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = ort.InferenceSession(made.SerializeToString(), options)
    values = {"x": np.random.default_rng(1).integers(0, 255, (rows, inner), np.uint8)}
    best, _ = _timed(lambda: [session.run(None, values) for _ in range(20)])
    return {"ops_s": 20 * 2.0 * rows * inner * columns / best}


def _timed(work: Any) -> tuple[float, Any]:
    """The median of five after one to warm up, and what it gave."""
    given = work()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        given = work()
        times.append(time.perf_counter() - started)
    return statistics.median(times), given


def _tokenizer(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]", model_max_length=512
    )


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


_SIDES = {"pipeline": _pipeline, "function": _function, "peak": _peak}

if __name__ == "__main__":
    main()
