"""Every `[[source]]` block of docs/sources.md is one that the worker takes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from worker.sources import kinds

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = [block for block in FENCED if "[[source]]" in block]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_page_is_taken(block: str) -> None:
    for source in tomllib.loads(block)["source"]:
        config = kinds.find(source["kind"]).config.model_validate(source)
        assert kinds.open_source(config).name == source["name"]


def test_the_page_has_each_recipe() -> None:
    assert len(BLOCKS) >= 8
