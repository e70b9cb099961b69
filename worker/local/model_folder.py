"""A model's folder, as the function loads it: model.onnx, tokenizer.json and manifest.json."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.errors import ConfigurationError

MANIFEST = "manifest.json"
ENGLISH = "english"


def chosen() -> Path:
    """The folder of the model that the local Lambda loads. Raises ConfigurationError."""
    spec = importlib.util.find_spec("sentiment_function")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "The local Lambda is not installed.", hint="Run: pip install 'sentiment-worker[local]'"
        )
    own = Path(spec.submodule_search_locations[0])
    named = os.environ.get("MODEL_DIR")
    if not named or named == ENGLISH:
        return own / (named or "embedded")
    return Path(named)


def manifest_of(folder: Path) -> dict[str, Any]:
    """Raises ConfigurationError."""
    file = folder / MANIFEST
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error}.", hint="Name a model's folder with MODEL_DIR."
        ) from error
    return found


def write_beside(folder: Path, parent: Path, manifest: Mapping[str, Any]) -> None:
    """A folder with the parent's files and another manifest, which comes last: half a folder is no
    model. Raises ConfigurationError where there is something already."""
    try:
        folder.mkdir(parents=True)
        for name in manifest["files"]:
            shutil.copyfile(parent / name, folder / name)
        said = json.dumps(dict(manifest) | {"digest": digest_of(manifest)}, ensure_ascii=False)
        (folder / MANIFEST).write_text(said + "\n", encoding="utf-8")
    except FileExistsError as error:
        raise ConfigurationError(
            f"{folder} is there already.", hint="Name a new folder with --out."
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error}.") from error


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Of all that a score depends on: the function makes it anew, and refuses another."""
    parts = [manifest[name] for name in ("labels", "polarities", "max_tokens", "files")]
    parts += [manifest["temperature"]] if "temperature" in manifest else []
    parts += [manifest["pooled"], manifest["head"]] if "head" in manifest else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
