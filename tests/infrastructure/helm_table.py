"""Writes the chart's table of values into its README, from values.yaml and its comments:

python -m tests.infrastructure.helm_table
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "sentiment-worker"
BEGIN = "<!-- values: made by python -m tests.infrastructure.helm_table -->\n"
END = "<!-- end of values -->\n"

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]+):")


def described() -> dict[str, str]:
    """Each value that has a comment, by its path."""
    found: dict[str, str] = {}
    path: list[str] = []
    said: list[str] = []
    for line in (CHART / "values.yaml").read_text("utf-8").splitlines():
        text = line.strip()
        if text.startswith("#"):
            said = [text[5:]] if text.startswith("# -- ") else [*said, text[2:]]
        elif key := _LINE.match(line):
            path = [*path[: len(key["indent"]) // 2], key["key"]]
            if said:
                found[".".join(path)] = " ".join(said)
            said = []
    return found


def table() -> str:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    rows = [
        f"| `{path}` | {_default(_at(values, path))} | {said} |"
        for path, said in described().items()
    ]
    return "\n".join(["| value | default | what it is |", "|---|---|---|", *rows]) + "\n"


def readme() -> str:
    """As it should be."""
    text = (CHART / "README.md").read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values[part]
    return values


def _default(value: Any) -> str:
    if value in ("", [], {}):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    (CHART / "README.md").write_text(readme(), "utf-8")
