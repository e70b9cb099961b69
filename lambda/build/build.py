"""Any Hugging Face sequence classifier -> the folder that the function loads.

    python build.py --out model                                   # DistilBERT on SST-2, as pinned
    python build.py --model NAME --revision COMMIT --out model    # another one at the hub
    python build.py --model /path/to/checkpoint --out model       # no network

The folder gets model.onnx (static int8), tokenizer.json and manifest.json. Nothing is written
unless the quantised model agrees with the original, alone and in any company.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

import check
import checkpoint
import export
import quantise
from checkpoint import Checkpoint

SENTENCES = Path(__file__).parent / "sentences.txt"


def main() -> None:
    options = _options()
    sentences = [line for line in options.sentences.read_text("utf-8").splitlines() if line.strip()]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        say(f"fetching {options.model}")
        folder, revision = checkpoint.fetch(options.model, options.revision, work / "hub")
        found = checkpoint.read(
            folder,
            options.model if not Path(options.model).is_dir() else folder.resolve().name,
            revision,
            labels=options.labels,
            polarities=options.polarities,
        )
        tokenizer = checkpoint.tokenizer_of(found)
        token_ids = [encoding.ids for encoding in tokenizer.encode_batch(sentences)]
        say("exporting to ONNX")
        original = export.load(found.folder)
        found.require_width(original.config.num_labels)
        fused = export.export(original, work)
        say(f"quantising, calibrated on {len(token_ids[::2])} sentences")
        quantised = quantise.quantise(fused, token_ids[::2], work)
        say(f"comparing with the original on {len(token_ids[1::2])} others")
        facts = check.compare(original, quantised, token_ids[1::2])
        check.require_good(facts)
        tokenizer.save(str(work / "tokenizer.json"))
        write(options.out, work, found, facts)
    say(f"{options.out}: {json.dumps(facts)}")


def write(out: Path, work: Path, found: Checkpoint, facts: dict[str, float]) -> None:
    """The model's folder; the manifest comes last, so that half a folder is no model."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").unlink(missing_ok=True)
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copyfile(work / name, out / name)
    files = {name: _sha256(out / name) for name in ("model.onnx", "tokenizer.json")}
    scored_by = {
        "labels": found.labels,
        "polarities": found.polarities,
        "max_tokens": found.max_tokens,
        "files": files,
    }
    digest = _digest(list(scored_by.values()))
    manifest = {
        "name": found.source.rsplit("/", 1)[-1],
        "version": f"{found.revision[:7]}-{digest[:7]}",
        **scored_by,
        "digest": digest,
        "source": {"model": found.source, "revision": found.revision},
        "quantisation": {"method": quantise.METHOD, "against_original": facts},
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def _digest(parts: list[object]) -> str:
    """Of all that a score depends on: other weights, labels or polarities are another version. The
    function makes it anew from the manifest, and refuses one that was changed."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        default=checkpoint.DEFAULT_MODEL,
        help="a name at the hub, or a folder (default: %(default)s)",
    )
    parser.add_argument("--revision", help="commit or tag at the hub (default: as pinned)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--labels", type=_names, help="in the model's order, by comma")
    parser.add_argument("--polarities", type=_numbers, help="one a label, from -1 to 1, by comma")
    parser.add_argument(
        "--sentences",
        type=Path,
        default=SENTENCES,
        help="texts like yours, one a line: half to calibrate with, half to compare on",
    )
    return parser.parse_args()


def _names(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


if __name__ == "__main__":
    main()
