"""A model's manifest, as lambda/build writes it: what two versions have in common. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.errors import ConfigurationError
from worker.insight.review import LABELS

OTHERS = "*"
"""Whose temperature holds where a language has none of its own."""


SCORED_BY = ("files", "labels", "polarities", "max_tokens")
OPTIONAL = ("head", "pooled")


@dataclass(frozen=True, slots=True)
class Manifest:
    name: str
    version: str
    labels: tuple[str, ...]
    rest: str
    """All that a score depends on besides: files, labels, polarities, tokens, a learnt head."""
    temperature: Mapping[str, float]
    languages: tuple[str, ...]
    """Those that it reads; none where that is not known."""


def parsed(text: str, where: str) -> Manifest:
    """Raises ConfigurationError."""
    try:
        found: dict[str, Any] = json.loads(text)
        return Manifest(
            str(found["name"]),
            str(found["version"]),
            tuple(found["labels"]),
            json.dumps([found[n] for n in SCORED_BY] + [found.get(n) for n in OPTIONAL]),
            {name: float(t) for name, t in found.get("temperature", {}).items()},
            tuple(sorted(found.get("languages", {}))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"{where} is not a model's manifest: {type(error).__name__}.",
            hint="Name manifest.json of a model's folder, or the folder.",
        ) from error


def powers(old: Manifest, new: Manifest) -> dict[str, float]:
    """By language, and `OTHERS`: the old temperature by the new. Raises ConfigurationError where
    the two differ in more than their temperatures, or labels do not determine probabilities."""
    if (old.name, old.rest) != (new.name, new.rest):
        raise ConfigurationError(
            f"{new.name} {new.version} differs from {old.name} {old.version} in more than its"
            " temperatures: its scores cannot be computed from those that are stored.",
            hint="Score anew: sentiment-worker rescore plan --to VERSION",
        )
    if old.version == new.version:
        raise ConfigurationError(
            f"Both manifests are of version {old.version}.",
            hint="A manifest with other temperatures needs a version of its own.",
        )
    if set(old.labels) != set(LABELS):
        raise ConfigurationError(
            f"The labels of {old.name} are {', '.join(old.labels)}: only of {', '.join(LABELS)} do"
            " a score and a polarity determine every probability.",
            hint="Score anew: sentiment-worker rescore plan --to VERSION",
        )
    return {
        language: _heat(old, language) / _heat(new, language)
        for language in {*old.temperature, *new.temperature, OTHERS}
    }


def _heat(manifest: Manifest, language: str) -> float:
    return manifest.temperature.get(language, manifest.temperature.get(OTHERS, 1.0))
