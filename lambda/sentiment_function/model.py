"""The model: ONNX Runtime over a folder of model.onnx, tokenizer.json and manifest.json."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from sentiment_function.head import Head, also_giving
from sentiment_function.language import detector
from sentiment_function.wire import Features, Refused, Result, Sentiment

EMBEDDED = Path(__file__).parent / "embedded"
ENGLISH = Path(__file__).parent / "english"
"""The models that ship with the package: one of many languages, and one that reads English alone,
at twice the speed. MODEL_DIR names another folder, or `english`."""

OTHERS = "*"
"""In the manifest's temperatures: languages that it does not name."""

BATCH_TOKENS = 256
"""Tokens a batch, padding included. Small batches of similar length pad little and stay in the
processor's caches; docs/benchmarks.md has what others cost."""

FILES = {"model.onnx", "tokenizer.json"}

MAX_CHARS = 100_000
MAX_TEXT_TOKENS = 25_000
"""What is read of a text: about so many characters of English are so many tokens, two or three
seconds of DistilBERT's time; of punctuation, or Chinese, each character is one."""

TOKENS_A_SECOND = 2_500
"""What is read in a call for each second that it has: DistilBERT on one vCPU reads twice as many.
Texts beyond that are refused, each in its place, so that none takes its neighbours into the
timeout."""

MAX_CALL_TOKENS = 60 * TOKENS_A_SECOND
"""Where nobody says how long a call may take."""

TOO_LONG = "too long for this call: send fewer texts at once"

_SPECIAL = 2
"""[CLS] and [SEP] in each window."""


Window = list[int]
"""The ids of its tokens, [CLS] and [SEP] included."""


class BadModel(RuntimeError):
    """The folder is not the model that its manifest describes."""


class Model:
    """Loaded once per execution environment. A score depends on its text alone: the weights
    are quantised statically, so no batch-mate takes part in a text's rounding.

    A text that is longer than the model reads is read in windows, whose probabilities are averaged
    by their lengths; with `truncate` only its beginning is read, and the version says so.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int = 1,
        truncate: bool = False,
        text_tokens: int = MAX_TEXT_TOKENS,
    ) -> None:
        """`text_tokens` are read of a text at most. Raises BadModel where files or manifest are not
        what the build wrote."""
        manifest = _verified(folder)
        self.name: str = manifest["name"]
        self.languages: list[str] = sorted(manifest.get("languages", {}))
        """Codes of those that it was measured on, and reads well enough; none where that is not
        known."""
        self._detector = detector() if self.languages else None
        self._temperatures: dict[str, float] = manifest.get("temperature", {})
        self.version: str = (
            manifest["version"]
            + ("+truncate" if truncate else "")
            + ("+undetected" if self.languages and not self._detector else "")
        )
        self._truncate = truncate
        self._labels: list[str] = manifest["labels"]
        self._polarities = np.array(manifest["polarities"], dtype=np.float64)
        self._max_windows = max(1, text_tokens // manifest["max_tokens"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(manifest["max_tokens"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._pooled: str = manifest.get("pooled", "")
        self._head = Head.of(manifest)
        self._file = folder / "model.onnx"
        self._options = options
        # With a second output the file is read into memory: 0.1 s, and its size, that few need.
        self._session = self._both_outputs if self._head else self._opened(str(self._file))
        width = self._run([self._windows("")[0][0]]).shape[1]
        if width != len(self._labels):
            raise BadModel(f"the model in {folder} has {width} labels, its manifest others")

    def _opened(self, model: str | bytes) -> Any:
        return ort.InferenceSession(model, self._options, providers=["CPUExecutionProvider"])

    @cached_property
    def _both_outputs(self) -> Any:
        return self._opened(also_giving(self._file.read_bytes(), self._pooled))

    def sentiments(self, texts: Sequence[str]) -> list[Sentiment]:
        """One sentiment a text, in order. Any text: empty, megabytes, any script."""
        found: list[Sentiment] = self.results(texts)  # type: ignore[assignment]  # all are texts
        return found

    def results(self, texts: Sequence[Any], max_tokens: int = MAX_CALL_TOKENS) -> list[Result]:
        """One result a text, in order: a sentiment, or why it is no text, or was not read because
        `max_tokens` were read before it."""
        results: list[Result] = [Refused("a text must be a string")] * len(texts)
        read: list[tuple[int, list[Window], bool, str | None]] = []
        left = max_tokens
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                continue
            # Half a surrogate pair is legal in JSON, and nothing that UTF-8 takes.
            readable = text[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8")
            windows, cut = self._windows(readable)
            cut = cut or len(text) > MAX_CHARS
            tokens = sum(map(len, windows))
            if tokens > left and read:
                results[i] = Refused(TOO_LONG)
                continue
            left -= tokens
            language = self._detector.language_of(readable) if self._detector else None
            read.append((i, windows, cut, language))
        logits = iter(self._logits([w for _, windows, *_ in read for w in windows]))
        for i, windows, cut, language in read:
            rows = [self._calibrated(next(logits), language) for _ in windows]
            results[i] = self._sentiment(windows, rows, truncated=cut, language=language)
        return results

    def features(self, texts: Sequence[str]) -> list[Features]:
        """What the encoder says of each text, and the logits that the last layer makes of it: of a
        text in several windows their averages. Raises BadModel where the manifest does not name the
        encoder's output."""
        if not self._pooled:
            raise BadModel(f"the manifest of {self.name} does not say where its encoder ends")
        readable = [text[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8") for text in texts]
        parts = [self._windows(text)[0] for text in readable]
        windows = [window for part in parts for window in part]
        said: list[Any] = [None] * len(windows)
        for batch in _batches([len(window) for window in windows]):
            for i, *both in zip(batch, *self._both([windows[i] for i in batch]), strict=True):
                said[i] = both
        rows = iter(said)
        return [self._features(part, [next(rows) for _ in part]) for part in parts]

    def _features(self, windows: Sequence[Window], rows: Sequence[Any]) -> Features:
        weights = [max(1, len(window) - _SPECIAL) for window in windows]
        logits, pooled = (np.average([row[n] for row in rows], 0, weights) for n in (0, 1))
        return Features(pooled.round(5).tolist(), logits.round(5).tolist())

    def _calibrated(self, logits: Any, language: str | None) -> Any:
        """Probabilities that mean what they say: the softmax of the logits by a temperature that
        was fitted at build time (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
        others = self._temperatures.get(OTHERS, 1.0)
        heat = self._temperatures.get(language or OTHERS, others)
        powers = np.exp((logits - logits.max()) / heat)
        return powers / powers.sum()

    def _windows(self, text: str) -> tuple[list[Window], bool]:
        """The windows that are read of a text, and whether something of it is not."""
        encoding = self._tokenizer.encode(text)
        most = 1 if self._truncate else self._max_windows
        windows = [encoding.ids, *(more.ids for more in encoding.overflowing[: most - 1])]
        return windows, len(encoding.overflowing) >= most

    def _logits(self, windows: Sequence[Window]) -> list[Any]:
        """Of each window, in order; computed in batches of similar length."""
        lengths = [len(window) for window in windows]
        found: list[Any] = [None] * len(windows)
        for batch in _batches(lengths):
            for i, row in zip(batch, self._run([windows[i] for i in batch]), strict=True):
                found[i] = row
        return found

    def _run(self, windows: Sequence[Window]) -> Any:
        if self._head is None:
            return self._session.run(["logits"], _feed(windows))[0].astype(np.float64)
        return self._both(windows)[0]

    def _both(self, windows: Sequence[Window]) -> tuple[Any, Any]:
        """Logits, and what the encoder says."""
        said = self._both_outputs.run(["logits", self._pooled], _feed(windows))
        logits, pooled = (part.astype(np.float64) for part in said)
        return (self._head.corrected(logits, pooled) if self._head else logits), pooled

    def _sentiment(
        self,
        windows: Sequence[Window],
        rows: Sequence[Any],
        *,
        truncated: bool,
        language: str | None,
    ) -> Sentiment:
        weights = [max(1, len(window) - _SPECIAL) for window in windows]
        probabilities = np.average(rows, axis=0, weights=weights)
        best = int(probabilities.argmax())
        polarity = float(probabilities @ self._polarities)
        return Sentiment(
            self._labels[best],
            round(float(probabilities[best]), 6),
            round(max(-1.0, min(1.0, polarity)), 6),
            tokens=sum(map(len, windows)),
            windows=len(windows),
            truncated=truncated,
            language=language,
        )


def _feed(windows: Sequence[Window]) -> dict[str, Any]:
    width = max(map(len, windows))
    ids = np.zeros((len(windows), width), dtype=np.int64)
    mask = np.zeros((len(windows), width), dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def model_folder() -> Path:
    named = os.environ.get("MODEL_DIR")
    return ENGLISH if named == ENGLISH.name else Path(named or EMBEDDED)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices by length, as many as BATCH_TOKENS hold, and one at least."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _verified(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
        if manifest["digest"] != _digest(manifest):
            raise BadModel(f"the manifest in {folder} is not as it was written")
        for name in ("name", "version"):
            if not isinstance(manifest[name], str):
                raise BadModel(f"the manifest in {folder} has no {name}")
        if manifest["files"].keys() != FILES:
            raise BadModel(f"the manifest in {folder} must name {', '.join(sorted(FILES))}")
        if not _is_calibrated(manifest.get("temperature", {})):
            raise BadModel(f"the manifest in {folder} has temperatures that make no sense")
        _require_usable_head(manifest)
        if not all(map(re.compile("[a-z]{2,3}").fullmatch, dict(manifest.get("languages", {})))):
            raise BadModel(f"the manifest in {folder} has languages that are no codes")
        for name, expected in manifest["files"].items():
            with open(folder / name, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise BadModel(f"{name} in {folder} is not the file that its manifest names")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadModel(f"{folder} holds no usable model: {error!r}") from error
    return manifest


def _require_usable_head(manifest: dict[str, Any]) -> None:
    if not isinstance(manifest.get("pooled", ""), str):
        raise BadModel("its manifest says in no words where its encoder ends")
    if Head.of(manifest) and not manifest.get("pooled"):
        raise BadModel("its manifest does not say where its encoder ends, and corrects that")


def _is_calibrated(temperatures: dict[str, float]) -> bool:
    return all(isinstance(t, int | float) and 0.05 <= t <= 20 for t in temperatures.values())


def _digest(manifest: dict[str, Any]) -> str:
    """Of all that a score depends on, as lambda/build writes it."""
    parts = [manifest[name] for name in ("labels", "polarities", "max_tokens", "files")]
    parts += [manifest["temperature"]] if "temperature" in manifest else []
    parts += [manifest["pooled"], manifest["head"]] if "head" in manifest else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
