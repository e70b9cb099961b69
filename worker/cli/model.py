"""`model`: a model learns from people's corrections."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from worker import bootstrap
from worker.cli import progress
from worker.cli.look import reading_from
from worker.cli.output import (
    ConfigOption,
    Output,
    OutputOption,
    VerboseOption,
    needing,
    print_json,
    say,
    settings_for,
)
from worker.errors import ConfigurationError, Exit
from worker.local import model_folder
from worker.scoring import features
from worker.settings import Settings
from worker.store.analytics import overrides

app = typer.Typer(help="The model learns from what people corrected.", no_args_is_help=True)

_EXAMPLES = (
    "Example:  [bold]sentiment-worker model adapt --source reviews --out model[/bold], then "
    "[bold]MODEL_DIR=model sentiment-worker rescore plan --source reviews --to VERSION[/bold]"
)


@app.callback()
def group() -> None:
    """A group of one command."""


@app.command(epilog=_EXAMPLES)
def adapt(
    source: Annotated[str, typer.Option("--source", "-s", help="Whose corrections.")],
    out: Annotated[Path, typer.Option(help="A new folder for the model.")],
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
    verbose: VerboseOption = False,
) -> None:
    """Fit the model's last layer to what people said of a source's records: overrides, and reviews.

    Takes a minute or two on a laptop, and makes a new folder beside the model that MODEL_DIR names
    (by default the one that ships). Nothing is written unless it is better on corrections that it
    has not seen, by McNemar's test. No score changes: use the folder with MODEL_DIR, or deploy it,
    then `rescore plan`, `flips` and `promote`.
    """
    settings = settings_for(config, verbose=verbose, quiet=True).settings
    with reading_from(config, verbose=verbose, source=source) as engine:
        corrections = overrides.corrections(engine, source)
    with needing("local"):
        from worker.insight import adapting
    if len(corrections) < adapting.FEWEST:
        raise ConfigurationError(
            f"Only {len(corrections):,} texts of {source!r} have been judged; at least"
            f" {adapting.FEWEST} are needed.",
            hint=f"sentiment-worker review draw --source {source} --n 200",
        )
    parent = model_folder.chosen()
    manifest = model_folder.manifest_of(parent)
    texts = [row["text"] for row in corrections]
    said, anchor = _asked(settings, adapting, texts, adapting.anchors())
    labels = _places(manifest, corrections)
    found = adapting.adapt(said, labels, anchor)
    table = _table(found)
    if output is Output.JSON:
        print_json(table)
    else:
        _say(found)
    if found.doubt:
        say(f"{found.doubt} Nothing was written.", style="yellow")
        raise typer.Exit(Exit.FAILED)
    made = _manifest(manifest, found, source, table | {"data": _digest(corrections)})
    model_folder.write_beside(out, parent, made)
    say(f"{out}: {made['name']} {made['version']}. Try it: MODEL_DIR={out} sentiment-worker score"
        " 'a text'")  # fmt: skip
    say(f"Then: MODEL_DIR={out} sentiment-worker rescore plan -s {source} --to {made['version']}")


def _asked(settings: Settings, adapting: Any, *groups: Sequence[str]) -> list[Any]:
    """What the local Lambda's encoder says of each group of texts."""
    import numpy as np

    texts = [text for group in groups for text in group]
    local = {"lambda_function_name": "local", "aws_endpoint_url_lambda": None}
    own = settings.model_copy(update=local | {"use_lambda_sentiment": True})
    with (
        bootstrap.open_lambda(own, stores=False) as target,
        progress.counting("reading", len(texts)) as told,
    ):
        assert target is not None
        rows = iter(features.of_texts(target, texts, told))
    said = []
    for group in groups:
        pairs = [next(rows) for _ in group]
        pooled, logits = (np.array([pair[n] for pair in pairs]) for n in (0, 1))
        said.append(adapting.Said(pooled, logits))
    return said


def _places(manifest: Mapping[str, Any], corrections: Sequence[Mapping[str, Any]]) -> list[int]:
    """Of people's labels among the model's. Raises ConfigurationError."""
    labels = manifest["labels"]
    strange = {row["label"] for row in corrections} - set(labels)
    if strange:
        raise ConfigurationError(
            f"The model {manifest['name']} has no label {', '.join(sorted(strange))}: its labels"
            f" are {', '.join(labels)}.",
            hint="Only a model with the labels that people use can learn from them.",
        )
    return [labels.index(row["label"]) for row in corrections]


def _table(found: Any) -> dict[str, Any]:
    return {
        "corrections": found.corrections,
        "right_before": round(found.right_before, 4),
        "right_after": round(found.right_after, 4),
        "gained": found.gained,
        "lost": found.lost,
        "p_value": found.p_value,
        "ridge": found.ridge,
        "others_kept": round(found.kept, 4),
    }


def _say(found: Any) -> None:
    say(
        f"{found.corrections:,} corrections, each judged by a model that was not shown it:"
        f" {found.right_before:.1%} right before, {found.right_after:.1%} after."
    )
    say(
        f"{found.gained:,} that were wrong become right, {found.lost:,} the other way: p ="
        f" {found.p_value:.2g} (McNemar's exact test)."
    )


def _manifest(
    parent: Mapping[str, Any], found: Any, source: str, shown: Mapping[str, Any]
) -> dict[str, Any]:
    """The parent's, with the correction, and where it comes from."""
    before = parent.get("head", {"weights": 0.0, "bias": 0.0})  # both add to the same logits
    head = {
        "weights": (found.correction.weights + before["weights"]).round(6).tolist(),
        "bias": (found.correction.bias + before["bias"]).round(6).tolist(),
    }
    mark = hashlib.sha256(json.dumps(head).encode()).hexdigest()[:7]
    name = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")[:40] or "source"
    kept = {name: value for name, value in parent.items() if name not in ("digest", "accuracy")}
    return kept | {
        "version": f"{parent['version'].partition('+')[0]}+{name}.{mark}",
        "temperature": {"*": found.temperature},
        "head": head,
        "parent": {"version": parent["version"], "digest": parent["digest"]},
        "adapted": dict(shown) | {"source": source, "on": f"{datetime.now(UTC):%Y-%m-%d}"},
    }


def _digest(corrections: Sequence[Mapping[str, Any]]) -> str:
    """Of what was learnt from: no text is in the manifest."""
    rows = sorted((row["text"], row["label"]) for row in corrections)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
